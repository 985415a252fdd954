/* SPDX-License-Identifier: MIT */
/* A program that does as good as nothing: prints what is resident of it in kB, by the page tables, without stdio or
 * malloc. The counters of /proc/self/status are too rough: each CPU keeps up to 32 pages to itself. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *line = len < 0 ? NULL : strstr(text, "\nRss:");

	if (!line)
		return 1;
	line += strlen("\nRss:");
	line += strspn(line, " \t");
	return write(1, line, strspn(line, "0123456789")) < 0 || write(1, "\n", 1) < 0;
}
