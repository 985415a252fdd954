dnl SPDX-License-Identifier: MIT
dnl What the machine and its libc must have, and what can be left out without it.

dnl BM_LP64: the compiler makes code of 64-bit addresses; x32 is an x86_64, too.
AC_DEFUN([BM_LP64],
  [AC_MSG_CHECKING([whether addresses have 64 bits])
  AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
    #ifndef __LP64__
    #error
    #endif
  ]])], [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
    AC_MSG_ERROR([$CC $CFLAGS makes code of 32-bit addresses, which this library does not serve])])])

dnl BM_DEEPBIND: libbuddymalloc-dlopen.so takes RTLD_DEEPBIND away; where libc has no such flag there is nothing to take.
AC_DEFUN([BM_DEEPBIND],
  [AC_CHECK_DECL([RTLD_DEEPBIND], [bm_deepbind=yes], [bm_deepbind="no (this libc has no RTLD_DEEPBIND)"],
    [[#define _GNU_SOURCE
    #include <dlfcn.h>]])
  AM_CONDITIONAL([DEEPBIND], [test "$bm_deepbind" = yes])])
