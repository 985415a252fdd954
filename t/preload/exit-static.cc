// SPDX-License-Identifier: MIT
// Static and thread_local objects of C++ that allocate when they are made and when they are destroyed, in the main
// thread, in threads that end, and in one that calls exit.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

struct holder {
	std::map<int, std::string> map;
	std::unique_ptr<std::vector<std::string>> list;
	const char *name;

	explicit holder(const char *n) : list(new std::vector<std::string>), name(n)
	{
		for (int i = 0; i < 200; i++)
			map[i] = std::string(i * 10, 'x');
	}

	~holder()
	{
		std::size_t sum = 0;

		for (auto &e : map) {
			list->push_back(e.second + e.second);
			sum += list->back().size();
		}
		map.clear();
		list.reset(new std::vector<std::string>(100, std::string(5000, 'y')));
		std::printf("%s %zu %zu\n", name, sum, list->size());
	}
};

static holder global("global");
thread_local holder local("thread_local");

static void touch()
{
	static holder inside("function static");

	local.map[1000] = inside.map[5];
}

int main(int argc, char **)
{
	for (int i = 0; i < 20; i++)
		std::thread(touch).join();
	touch();
	if (argc > 1) {
		std::thread t([] { touch(); std::exit(0); });
		t.join();
	}
	return 0;
}
