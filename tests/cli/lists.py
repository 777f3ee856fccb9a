# SPDX-License-Identifier: BSD-2-Clause
# Shows that list, check, selftest and explain agree with each other, as text and as JSON.
import cli


class Lists(cli.Case):
    def test_list(self):
        done = cli.run("list", "--json")
        self.assertEqual((done.status, done.err), (0, b""))
        names = [line["probe"] for line in done.lines()]
        self.assertEqual({"proc", "sched", "fadvise", "pagecache"} - set(names), set())
        self.assertEqual(len(names), len(set(names)))
        text = cli.run("list").out.decode()
        for name in names:
            self.assertIn("\n" + name + " ", "\n" + text)

    def test_list_one(self):
        self.assertEqual(len(cli.run("list", "proc", "--json").lines()), 1)

    def test_check(self):
        done = cli.run("check", "--json")
        line = done.one(type="check")
        self.assertEqual(done.status, line["exit"])
        probes = cli.run("list", "--json").lines()
        full = all(p["source"] == "bpf" and not p["unavailable"] for p in probes)
        usable = any(p["source"] != "none" for p in probes)
        self.assertEqual(line["exit"], 0 if full else 1 if usable else 3)
        self.assertEqual(cli.run("check").status, line["exit"])
        self.assertIn(line["machine"]["cgroups"]["memory_controller"], ("v1", "v2", "none"))

    def test_check_names_features(self):
        """Lists each feature that ks_open_opts.features_off can turn off."""
        cli.need_programs("proc")
        machine = cli.run("check", "--json").one(type="check")["machine"]
        names = {feature["name"] for feature in machine["bpf"]["features"]}
        self.assertEqual({"ringbuf", "tp_btf", "task_storage", "atomic_fetch", "rdonly_cast",
                          "own_guard"} - names, set())

    def test_selftest(self):
        cli.need_programs("proc")
        done = cli.run("selftest", "--json")
        lines = done.lines()
        self.assertEqual(done.status, 1 if any(line["error"] for line in lines) else 0)
        self.assertIsNone(done.one(probe="proc")["error"])
        self.assertGreater(done.one(probe="proc")["seen"], 0)

    def test_explain(self):
        done = cli.run("explain", "--json")
        self.assertEqual(done.status, 0)
        self.assertEqual(sorted(p["probe"] for p in done.one(type="explain")["handle"]["probes"]),
                         sorted(p["probe"] for p in cli.run("list", "--json").lines()))


if __name__ == "__main__":
    cli.main()
