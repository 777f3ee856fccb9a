// SPDX-License-Identifier: BSD-2-Clause
//
// host.cc - a C++20 host: one thread consumes events, another reads statistics, both owned by RAII
//
// An event callback may throw an exception. The event then counts as delivered, and the handle
// stays usable.

#include <kernelsight/kernelsight.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace
{

struct close_handle {
	void operator()(ks *handle) const { ks_close(handle); }
};
struct free_reader {
	void operator()(ks_reader *reader) const { ks_reader_free(reader); }
};
using handle = std::unique_ptr<ks, close_handle>;
using reader = std::unique_ptr<ks_reader, free_reader>;

constexpr unsigned children = 50;

struct counts {
	std::atomic<unsigned> forks{ 0 }, thrown{ 0 };
};

int on_event(const ks_event *event, void *user)
{
	auto &seen = *static_cast<counts *>(user);

	if (event->id != KS_EVENT_PROC_FORK || reinterpret_cast<const ks_event_proc_fork *>(event)
						       ->thread) // the consumer is a thread itself
		return 0;
	if (++seen.forks == 10)
		throw std::runtime_error("the tenth");
	return 0;
}

void consume(ks *watched, counts &seen)
{
	while (seen.forks < children) {
		try {
			if (ks_poll(watched, 5000, 0, on_event, &seen) <= 0)
				return;
		} catch (const std::runtime_error &) {
			seen.thrown++;
		}
	}
}

} // namespace

int main()
{
	ks *raw = nullptr;
	ks_reader *raw_reader = nullptr;

	if (ks_open(nullptr, &raw) < 0)
		return EXIT_FAILURE;
	handle owner(raw);
	ks_enable_opts programs{};
	programs.size = sizeof(programs);
	programs.flags = KS_ENABLE_NO_FALLBACK;
	if (int rc = ks_enable_probe(owner.get(), KS_PROBE_PROC, &programs); rc < 0) {
		std::fprintf(stderr, "proc: %s\n", ks_strerror(rc));
		return rc == -KS_EUNAVAIL ? 77 : EXIT_FAILURE;
	}
	if (ks_reader_new(owner.get(), KS_PROBE_PROC, nullptr, &raw_reader) < 0)
		return EXIT_FAILURE;
	reader r(raw_reader);

	counts seen;
	std::thread consumer(consume, owner.get(), std::ref(seen));
	for (unsigned i = 0; i < children; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		waitpid(pid, nullptr, 0);
	}
	consumer.join();

	ks_stats stats{};
	stats.size = sizeof(stats);
	if (ks_read_stats(r.get(), &stats) < 0)
		return EXIT_FAILURE;
	auto row = static_cast<const ks_stats_proc *>(ks_stats_row(&stats, 0));
	std::printf("%u forks seen, %llu counted, %u exceptions through the library\n",
		    seen.forks.load(), static_cast<unsigned long long>(row->processes),
		    seen.thrown.load());
	return seen.forks == children && row->processes == children && seen.thrown == 1 ?
		       EXIT_SUCCESS :
		       EXIT_FAILURE;
}
