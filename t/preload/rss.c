/* SPDX-License-Identifier: MIT */
/* A program that does as good as nothing: prints its own peak of resident memory in kB, without stdio or malloc. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *line = len < 0 ? NULL : strstr(text, "VmHWM:");

	if (!line)
		return 1;
	line += strlen("VmHWM:");
	line += strspn(line, " \t");
	return write(1, line, strspn(line, "0123456789")) < 0 || write(1, "\n", 1) < 0;
}
