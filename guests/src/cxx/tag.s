# The tag of C++ exceptions, which is in the compiler's own library where that is
# built with exceptions; Debian's is not.
	.globl __cpp_exception
	.tagtype __cpp_exception i32
__cpp_exception:
