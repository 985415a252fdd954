dnl SPDX-License-Identifier: MIT
dnl The compiler flags that not every compiler knows.

dnl BM_ADD_FLAG(variable, flag): append flag where the compiler of the current language takes it. -Werror is on for
dnl the question, because clang only warns of a flag it does not know.
AC_DEFUN([BM_ADD_FLAG],
  [AC_MSG_CHECKING([whether the _AC_LANG compiler takes $2])
  bm_saved="$[]_AC_LANG_PREFIX[]FLAGS"
  _AC_LANG_PREFIX[]FLAGS="$bm_saved $2 -Werror"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])
    $1="$$1 $2"], [AC_MSG_RESULT([no])])
  _AC_LANG_PREFIX[]FLAGS="$bm_saved"])

dnl WARN_CFLAGS and WARN_CXXFLAGS; LIB_WARN_CFLAGS for the library alone, whose stack frames are bounded.
AC_DEFUN([BM_WARNING_FLAGS],
  [WARN_CFLAGS=
  WARN_CXXFLAGS=
  LIB_WARN_CFLAGS=
  AC_LANG_PUSH([C])
  m4_foreach_w([bm_flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wnested-externs -Wimplicit-fallthrough
    -Wlogical-op -Wduplicated-cond],
    [BM_ADD_FLAG([WARN_CFLAGS], bm_flag)
])
  AS_IF([test $bm_sanitize = no], [BM_ADD_FLAG([LIB_WARN_CFLAGS], [-Wframe-larger-than=4096])])
  AC_LANG_POP([C])
  AC_LANG_PUSH([C++])
  m4_foreach_w([bm_flag], [-Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef],
    [BM_ADD_FLAG([WARN_CXXFLAGS], bm_flag)
])
  AC_LANG_POP([C++])
  AS_IF([test $bm_werror = yes],
    [WARN_CFLAGS="$WARN_CFLAGS -Werror"
    WARN_CXXFLAGS="$WARN_CXXFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
  AC_SUBST([WARN_CXXFLAGS])
  AC_SUBST([LIB_WARN_CFLAGS])])
