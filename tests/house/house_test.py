"""Plants breaches of the house rules in a small tree and expects scripts/house to name each of them."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/house")
sys.path.insert(0, SCRIPTS)
import tree  # noqa: E402


def needs(tool):
    return unittest.skipUnless(tree.made_for(tool), f"needs {tool} {tree.CLANG}")


class House(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.write("core/error.hpp", "#pragma once\n")
        self.write("core/error.cpp", '#include "core/error.hpp"\n')

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_check(self, name, *arguments):
        return self.checked(name, *arguments).stdout

    def checked(self, name, *arguments, path=os.environ["PATH"]):
        result = subprocess.run([sys.executable, os.path.join(SCRIPTS, name + ".py"), *arguments], cwd=self.root,
                                check=False, capture_output=True, text=True, env={**os.environ, "PATH": path})
        self.assertIn(result.returncode, (0, 1), result.stderr)
        self.assertEqual(result.returncode == 0, result.stdout == "", result.stdout)
        return result

    def expect(self, check, breach, *arguments):
        self.assertIn(breach, self.run_check(check, *arguments))

    def test_a_tidy_tree_has_no_breach(self):
        for check in ("format", "arrows", "border", "limits", "links"):
            self.assertEqual(self.run_check(check), "", check)

    @needs("clang-format")
    def test_a_table_in_a_comment_keeps_its_lines(self):
        with open(os.path.join(SCRIPTS, "../../.clang-format"), encoding="utf-8") as file:
            self.write(".clang-format", file.read())
        formula = "first + second * third  " * 5  # too long for a line of text
        table = f"/// The rates:\n///   one   {formula.rstrip()}\n///   two   its half\n"
        self.write("core/error.hpp", "#pragma once\n" + table + "struct Rate {};\n")
        self.assertEqual(self.run_check("format"), "")
        self.write("core/error.hpp", "#pragma once\n" + table.replace("///   ", "/// ") + "struct Rate {};\n")
        self.expect("format", "clang-formatted")

    def test_an_include_against_the_arrows_is_named(self):
        self.write("autograd/tape.hpp", "#pragma once\n")
        self.write("core/tensor.cpp", '\n#include "autograd/tape.hpp"\n')
        self.expect("arrows", 'core/tensor.cpp:2: includes "autograd/tape.hpp": core may include from core')

    def test_an_include_of_a_file_that_is_not_there_is_named(self):
        self.write("nn/block.cpp", '#include "block.hpp"\n#include "core/gone.hpp"\n')
        self.expect("arrows", 'nn/block.cpp:1: includes "block.hpp": no such file from the root')
        self.expect("arrows", 'nn/block.cpp:2: includes "core/gone.hpp": no such file from the root')

    def test_folders_that_include_each_other_in_a_circle_are_named(self):
        self.write("data/shards/split.hpp", "#pragma once\n")
        self.write("data/sampling/source.hpp", '#include "data/shards/split.hpp"\n')
        self.assertEqual(self.run_check("arrows"), "")
        self.write("data/shards/writer.hpp", '#include "data/sampling/source.hpp"\n')
        found = self.run_check("arrows")
        self.assertIn('data/sampling/source.hpp:1: includes "data/shards/split.hpp", which closes a circle of folders: '
                      "data/sampling -> data/shards -> data/sampling", found)
        self.assertEqual(found.count("\n"), 1, found)

    def test_a_longer_circle_of_folders_is_named(self):
        self.write("data/a/one.hpp", '#include "data/b/two.hpp"\n')
        self.write("data/b/two.hpp", '#include "data/c/three.hpp"\n')
        self.write("data/c/three.hpp", '\n#include "data/a/four.hpp"\n')
        self.write("data/a/four.hpp", "#pragma once\n")
        self.expect("arrows", "circle of folders: data/a -> data/b -> data/c -> data/a")

    def test_host_code_that_takes_a_pointer_to_a_tensor_is_named(self):
        self.write("nn/block.cpp", "// x.item<T>() is not code\nint a = x.item<int>() + *p->data<int>();\n")
        self.write("nn/block.hpp", "KernelSlot<Args> kernel;\nT* y = x.template data<T>();\n")
        self.write("optim/adamw.cpp", "KernelSlot<Args> kernel;\nfloat* w = args.w.data<float>();\n")
        self.write("core/kernels/fill.hpp", "std::byte* y = args.y.raw();\n")
        self.write("core/ops/add.cu", "float* y = args.y.data<float>();\n")
        self.write("tests/core/tensor_test.cpp", "float* y = args.y.data<float>();\n")
        found = self.run_check("border")
        self.assertIn("nn/block.cpp:2: item<: only kernels have pointers to tensors", found)
        self.assertIn("nn/block.cpp:2: data<: only", found)
        self.assertIn("nn/block.hpp:2: data<: only", found)
        self.assertEqual(found.count("\n"), 3, found)

    def test_two_types_of_one_name_are_named(self):
        self.write("core/shape.hpp", "namespace granule {\nstruct Shape {};\n}  // namespace granule\n")
        self.write("nn/shape.hpp", "namespace granule::nn {\nstruct Shape {};\n}  // namespace granule::nn\n")
        self.write("nn/shape.cpp", "namespace granule {\nnamespace {\nstruct Shape {};\n}  // namespace\n"
                                   "}  // namespace granule\n")
        self.write("optim/adamw.cpp", "namespace granule {\nclass Shape;\n}  // namespace granule\n")
        self.assertEqual(self.run_check("names"), "")
        self.write("optim/adamw.cpp", "namespace granule {\nclass Shape : public Dims {\n};\n}  // namespace granule\n")
        self.expect("names", "optim/adamw.cpp:2: granule::Shape is also in core/shape.hpp:2: rename one")

    def test_a_project_file_in_angle_brackets_is_named(self):
        self.write("nn/block.cpp", "#include <core/error.hpp>\n")
        self.expect("arrows", "nn/block.cpp:1: includes <core/error.hpp>: a file of the project")

    def test_code_outside_the_modules_is_named(self):
        self.write("extras/more.cpp", "")
        self.expect("arrows", "extras/more.cpp: code belongs into one of")

    @needs("clang-format")
    def test_code_in_another_format_is_named(self):
        self.write("core/shape.cu", "int  x ;\n")
        self.expect("format", "core/shape.cu:1")

    def test_another_clang_or_none_judges_nothing_and_says_so(self):
        self.write("core/shape.cu", "int  x ;\n")
        self.write("core/error.hpp", "#pragma once\nstruct bad_name {};\n")
        self.configured("core/error.cpp")
        for tool, check, arguments in (("clang-format", "format", []),
                                       ("clang-tidy", "tidy", ["build/release", "--all"])):
            self.write(f"bin/{tool}", "#!/bin/sh\necho Debian LLVM version 19.1.7\n")
            os.chmod(os.path.join(self.root, "bin", tool), 0o755)
            for folder, said in (("bin", f"{tool}: version 19, so this check is skipped (version 14 is needed)"),
                                 ("empty", f"{tool}: not there, so this check is skipped")):
                result = self.checked(check, *arguments, path=os.path.join(self.root, folder))
                self.assertEqual(result.stdout, "")
                self.assertIn(said, result.stderr)

    def test_a_test_that_includes_catch2_itself_is_named(self):
        self.write("tests/core/shape_test.cpp", "#include <catch2/catch.hpp>\n")
        self.expect("arrows", "includes <catch2/catch.hpp>: include tests/support/catch.hpp")

    def test_long_files_marks_and_tabs_are_named(self):
        self.write("core/shape.hpp", "\n" * 201)
        self.write("core/shape.cpp", "\n" * 351)
        self.write("docs/guide.md", "a\n" * 601)
        self.write("apps/report/web/page.js", "\n" * 351)
        self.write("core/shape.cu", "// TO" + "DO\n\tint x;\n")
        self.expect("limits", "core/shape.hpp: 201 lines, 200 are the most")
        self.expect("limits", "core/shape.cpp: 351 lines, 350 are the most")
        self.expect("limits", "apps/report/web/page.js: 351 lines, 350 are the most")
        self.expect("limits", "docs/guide.md: 601 lines, 600 are the most")
        self.expect("limits", "core/shape.cu:1: TO" + "DO")
        self.expect("limits", "core/shape.cu:2: a tab")

    def test_links_that_lead_nowhere_are_named(self):
        self.write("docs/a.md", "# One `two`\n[x](b.md) [y](a.md#one-two) [z](#three) [u](https://example.org)\n"
                                "```\n[v](c.md)\n```\n")
        found = self.run_check("links")
        self.assertIn("docs/a.md:2: [b.md]: there is no docs/b.md", found)
        self.assertIn("docs/a.md:2: [#three]: docs/a.md has no such heading", found)
        self.assertEqual(found.count("\n"), 2, found)

    def configured(self, *sources):
        commands = [f'{{"file": "{os.path.join(self.root, source)}", "directory": "{self.root}", '
                    f'"command": "c++ -std=c++20 -I{self.root} -c {source}"}}' for source in sources]
        self.write("build/release/compile_commands.json", f"[{', '.join(commands)}]")

    def test_headers_that_do_not_compile_alone_are_named(self):
        self.configured("core/error.cpp")
        self.write("core/dtype.hpp", "#pragma once\nstd::size_t size_of();\n")
        self.write("core/shape.hpp", "#pragma once\nstruct Shape;\n")
        self.write("core/shape.cpp", '#include "core/error.hpp"\n#include "core/shape.hpp"\n')
        found = self.run_check("headers", "build/release")
        self.assertIn("core/dtype.hpp does not compile alone", found)
        self.assertIn("core/shape.cpp: includes core/error.hpp before its own header core/shape.hpp", found)
        self.write("core/dtype.hpp", "#pragma once\n#include <cstddef>\nstd::size_t size_of();\n")
        self.assertNotIn("core/dtype.hpp", self.run_check("headers", "build/release"))

    @needs("clang-tidy")
    def test_clang_tidy_sees_a_changed_header_and_remembers_only_what_passed(self):
        self.configured("core/error.cpp")
        with open(os.path.join(SCRIPTS, "../../.clang-tidy"), encoding="utf-8") as file:
            self.write(".clang-tidy", file.read())
        git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=work"]
        for arguments in (["init", "-q"], ["add", "core"], ["commit", "-qm", "one"],
                          ["commit", "-qm", "two", "--allow-empty"]):
            subprocess.run([*git, *arguments], cwd=self.root, check=True)
        self.assertEqual(self.run_check("tidy", "build/release"), "")
        self.write("core/error.hpp", "#pragma once\nstruct bad_name {};\n")
        for _ in range(2):
            self.expect("tidy", "invalid case style for struct 'bad_name'", "build/release")
        self.write("core/error.hpp", "#pragma once\nstruct GoodName {};\n")
        self.assertEqual(self.run_check("tidy", "build/release"), "")


class InstallDeps(unittest.TestCase):
    """scripts/install-deps as root on a machine that has no package."""

    def setUp(self):
        self.bin = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.bin)
        for name, script in (("dpkg-query", "exit 1"), ("pkg-config", "exit 1"), ("id", "echo 0"),
                             ("apt-get", f'echo "$@" >>{self.bin}/asked')):
            with open(os.path.join(self.bin, name), "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{script}\n")
            os.chmod(file.name, 0o755)

    def installed(self, *arguments):
        path = os.path.join(self.bin, "asked")
        if os.path.exists(path):
            os.remove(path)
        subprocess.run([os.path.join(SCRIPTS, "../install-deps"), *arguments], check=True, capture_output=True,
                       env={**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin"})
        with open(path, encoding="utf-8") as file:
            return set(file.read().split())

    def test_building_needs_no_test_library_and_no_checker(self):
        needed, all_of_them = self.installed("--build-only"), self.installed()
        self.assertEqual(all_of_them - needed,
                         {"catch2", "clang-format", "clang-tidy", "python3", "python3-h5py", "python3-numpy", "python3-scipy",
                          "chromium", "chromium-driver", "python3-selenium"})
        self.assertEqual(self.installed("--with-clang") - all_of_them, {"clang", "libclang-rt-dev"})

    def test_what_sentencepiece_needs_is_asked_for_only_where_it_is_missing(self):
        self.assertIn("libprotobuf-dev", self.installed())
        with open(os.path.join(self.bin, "pkg-config"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n")
        self.assertNotIn("libprotobuf-dev", self.installed())

    def test_an_unknown_argument_is_refused(self):
        result = subprocess.run([os.path.join(SCRIPTS, "../install-deps"), "--all"], check=False, text=True,
                                capture_output=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("unknown argument --all", result.stderr)


class Scripts(unittest.TestCase):
    def test_every_shell_script_says_what_it_is_for_and_does_nothing_else_when_asked(self):
        folder = os.path.join(SCRIPTS, "..")
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        scripts = [path for path in paths if os.path.isfile(path) and "bash" in tree.read(path).splitlines()[0]]
        self.assertGreater(len(scripts), 5)
        for path in scripts:
            result = subprocess.run([path, "--help"], check=False, capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, path)
            self.assertNotEqual(result.stdout, "", path)

    def test_a_debian_without_a_name_is_refused(self):
        result = subprocess.run([os.path.join(SCRIPTS, "../try-debian")], check=False, capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("name a release, such as trixie", result.stderr)


if __name__ == "__main__":
    unittest.main()
