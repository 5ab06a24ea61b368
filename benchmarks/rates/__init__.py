"""Which of several short runs names the best learning rate for the whole training?"""
