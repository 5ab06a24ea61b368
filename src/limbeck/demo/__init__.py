"""The main job on data that comes with scikit-learn: ``limbeck demo``."""
