"""How this build was made: facts that Python code and tests ask for."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #define GE_HAS_OPENMP 1
    #else
    #define GE_HAS_OPENMP 0
    #endif
    #ifdef __SANITIZE_ADDRESS__
    #define GE_SANITIZED 1
    #else
    #define GE_SANITIZED 0
    #endif
    """
    bint GE_HAS_OPENMP
    bint GE_SANITIZED

HAS_OPENMP = bool(GE_HAS_OPENMP)
SANITIZED = bool(GE_SANITIZED)
