dnl SPDX-License-Identifier: MIT
dnl BM_LAYOUT_LD: LAYOUT_LDFLAGS are what gives the library the layout of lib/layout.ld, if the linker can. Two segments on
dnl pages of the machine, which on aarch64 may have 64 KiB: the loader maps more, and unmaps some, where there are others
dnl between them or they are aligned to more.
AC_DEFUN([BM_LAYOUT_LD], [
	AC_MSG_CHECKING([whether the linker takes lib/layout.ld])
	bm_saved_LDFLAGS=$LDFLAGS
	bm_saved_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -fPIC"
	AS_CASE([$host_cpu], [x86_64], [bm_page=4096], [bm_page=65536])
	bm_segments="-Wl,-z,noseparate-code -Wl,-z,max-page-size=$bm_page"
	LDFLAGS="$LDFLAGS -shared -Wl,-z,relro $bm_segments -Wl,-T,$srcdir/lib/layout.ld"
	LAYOUT_LDFLAGS=
	bm_layout=no
	AC_LINK_IFELSE([AC_LANG_SOURCE([[
		const char constant[] = "constant";
		const char *const relocated = constant;
		int function(void) { return 1; }
	]])], [
		LAYOUT_LDFLAGS="$bm_segments "'-Wl,-T,$(srcdir)/lib/layout.ld'
		bm_layout=yes
	])
	CFLAGS=$bm_saved_CFLAGS
	LDFLAGS=$bm_saved_LDFLAGS
	AC_MSG_RESULT([$bm_layout])
	AC_SUBST([LAYOUT_LDFLAGS])
])
