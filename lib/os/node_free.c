/* SPDX-License-Identifier: MIT */
/*
 * How much memory a node has free, from sysfs.
 */
#include <string.h>

#include "base/message.h"
#include "base/span.h"
#include "os/os.h"
#include "os/path.h"
#include "os/topology.h"

/* The second line of the file is "Node 0 MemFree:     123456 kB". */
static bool parse_free(const char *text, unsigned long *bytes)
{
	static const char name[] = "MemFree:";
	unsigned long kib = 0;

	text = text_search(text, name);
	if (!text)
		return false;
	for (text += strlen(name); *text == ' '; text++)
		;
	for (; *text >= '0' && *text <= '9'; text++)
		kib = kib * 10 + (unsigned long)(*text - '0');
	*bytes = kib << 10;
	return *text == ' ';
}

bool os_node_free(unsigned int nid, unsigned long *bytes)
{
	struct path path = { .len = 0 };
	struct out name;
	char text[160];

	out_init(&name, -1);
	out_printf(&name, "/devices/system/node/node%u/meminfo", nid);
	path_add(&path, topology_root);
	path_add(&path, name.buf);
	return os_read_file(path.text, text, sizeof(text)) > 0 && parse_free(text, bytes);
}
