"""What a teacher says of every sample, computed once and read from disk."""

from limbeck.cache.cache import Cache, CacheError, Origin
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.field import Form
from limbeck.cache.keyed import Keyed, keyed_loader

__all__ = ["Cache", "CacheError", "CachedTeacher", "Form", "Keyed", "Origin", "keyed_loader"]
