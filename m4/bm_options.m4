dnl SPDX-License-Identifier: MIT
dnl The options of configure. Each sets a shell variable bm_NAME for the report; a bad value is an error that says
dnl what is accepted.

dnl BM_YES_OR_NO(option, value)
AC_DEFUN([BM_YES_OR_NO],
  [AS_CASE([$2], [yes|no], [], [AC_MSG_ERROR([$1=$2: accepted are yes and no])])])

AC_DEFUN([BM_ARG_DEBUG],
  [AC_ARG_ENABLE([debug],
    [AS_HELP_STRING([--enable-debug], [assertions, lock ranks, and a check of each zone after every change])],
    [bm_debug=$enableval], [bm_debug=no])
  BM_YES_OR_NO([--enable-debug], [$bm_debug])
  AS_IF([test $bm_debug = yes], [AC_DEFINE([BM_DEBUG], [1], [Debug build])])])

dnl Sanitizers bring a malloc of their own, so there our names carry the prefix bmt_ and nothing is preloaded.
AC_DEFUN([BM_ARG_SANITIZE],
  [AC_ARG_ENABLE([sanitize],
    [AS_HELP_STRING([--enable-sanitize=address|thread|undefined], [build for the tests, under this sanitizer])],
    [bm_sanitize=$enableval], [bm_sanitize=no])
  SANITIZE_FLAGS=
  AS_CASE([$bm_sanitize],
    [no], [],
    [address|thread], [SANITIZE_FLAGS="-fsanitize=$bm_sanitize -fno-omit-frame-pointer"],
    [undefined], [SANITIZE_FLAGS="-fsanitize=undefined -fno-sanitize-recover=undefined"],
    [AC_MSG_ERROR([--enable-sanitize=$bm_sanitize: accepted are address, thread, undefined and no])])
  AS_IF([test $bm_sanitize != no],
    [BM_SAVE_CFLAGS="$CFLAGS"
    CFLAGS="$CFLAGS $SANITIZE_FLAGS"
    AC_MSG_CHECKING([whether $CC links with -fsanitize=$bm_sanitize])
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
      AC_MSG_ERROR([$CC cannot link with -fsanitize=$bm_sanitize: is its run-time library installed?])])
    CFLAGS="$BM_SAVE_CFLAGS"
    AC_DEFINE([BM_PREFIX], [bmt_], [Prefix of the interposed names])])
  AC_SUBST([SANITIZE_FLAGS])
  AC_SUBST([SANITIZER], [$bm_sanitize])
  AM_CONDITIONAL([SANITIZE], [test $bm_sanitize != no])])

AC_DEFUN([BM_ARG_TLS_MODEL],
  [AC_ARG_WITH([tls-model],
    [AS_HELP_STRING([--with-tls-model=MODEL],
      [initial-exec (default), or local-dynamic or global-dynamic for a library that is opened by dlopen])],
    [bm_tls_model=$withval], [bm_tls_model=initial-exec])
  AS_CASE([$bm_tls_model],
    [initial-exec|local-dynamic|global-dynamic], [],
    [AC_MSG_ERROR([--with-tls-model=$bm_tls_model: accepted are initial-exec, local-dynamic, global-dynamic])])
  AC_DEFINE_UNQUOTED([BM_TLS_MODEL], ["$bm_tls_model"], [TLS model of thread-local words])])

dnl BM_ARG_HEADER(name, header, macro, help): on when the header is there, off by --disable-NAME; asking for it by
dnl --enable-NAME where the header is missing is an error.
AC_DEFUN([BM_ARG_HEADER],
  [AC_ARG_ENABLE([$1], [AS_HELP_STRING([--disable-$1], [leave out: $4 (default: in where $2 is found)])],
    [bm_$1=$enableval], [bm_$1=auto])
  AS_CASE([$bm_$1], [yes|no|auto], [], [AC_MSG_ERROR([--enable-$1=$bm_$1: accepted are yes and no])])
  AS_IF([test $bm_$1 != no],
    [AC_CHECK_HEADER([$2],
      [bm_$1=yes
      AC_DEFINE([$3], [1], [$4])],
      [AS_IF([test $bm_$1 = yes], [AC_MSG_ERROR([--enable-$1: $2 was not found])])
      bm_$1="no ($2 was not found)"])])])

AC_DEFUN([BM_ARG_WERROR],
  [AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])],
    [bm_werror=$enableval], [bm_werror=no])
  BM_YES_OR_NO([--enable-werror], [$bm_werror])
  AC_SUBST([WERROR_OPTION], [--enable-werror=$bm_werror])])
