"""What a teacher says of every sample, computed once and read from disk."""

from limbeck.cache.cache import Cache
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.form import Form
from limbeck.cache.keyed import Keyed, keyed_loader
from limbeck.cache.origin import DataOrigin, Origin
from limbeck.errors import CacheError

__all__ = ["Cache", "CacheError", "CachedTeacher", "DataOrigin", "Form", "Keyed", "Origin", "keyed_loader"]
