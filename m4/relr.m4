dnl SPDX-License-Identifier: MIT
dnl BM_RELR: RELR_LDFLAGS packs the loader's work list, 9 KiB of it into some hundred bytes, where linker and libc know how.
AC_DEFUN([BM_RELR], [
	AC_MSG_CHECKING([whether relative relocations can be packed])
	bm_saved_LDFLAGS=$LDFLAGS
	LDFLAGS="$LDFLAGS -pie -Wl,-z,pack-relative-relocs"
	RELR_LDFLAGS=
	bm_relr=no
	AC_RUN_IFELSE([AC_LANG_SOURCE([[
		static int one = 1;
		static int *const relocated[] = { &one, &one };
		int main(int argc, char **argv) { (void)argv; return *relocated[argc & 1] - 1; }
	]])], [
		RELR_LDFLAGS='-Wl,-z,pack-relative-relocs'
		bm_relr=yes
	], [], [:])
	LDFLAGS=$bm_saved_LDFLAGS
	AC_MSG_RESULT([$bm_relr])
	AC_SUBST([RELR_LDFLAGS])
])
