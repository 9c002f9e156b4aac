"""Plants breaches of the house rules in a small tree and expects scripts/house to name each of them."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/house")


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
        result = subprocess.run([sys.executable, os.path.join(SCRIPTS, name + ".py"), *arguments], cwd=self.root,
                                check=False, capture_output=True, text=True)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        self.assertEqual(result.returncode == 0, result.stdout == "", result.stdout)
        return result.stdout

    def expect(self, check, breach, *arguments):
        self.assertIn(breach, self.run_check(check, *arguments))

    def test_a_tidy_tree_has_no_breach(self):
        for check in ("format", "arrows", "limits", "links"):
            self.assertEqual(self.run_check(check), "", check)

    def test_an_include_against_the_arrows_is_named(self):
        self.write("autograd/tape.hpp", "#pragma once\n")
        self.write("core/tensor.cpp", '\n#include "autograd/tape.hpp"\n')
        self.expect("arrows", 'core/tensor.cpp:2: includes "autograd/tape.hpp": core may include from core')

    def test_an_include_of_a_file_that_is_not_there_is_named(self):
        self.write("nn/block.cpp", '#include "block.hpp"\n#include "core/gone.hpp"\n')
        self.expect("arrows", 'nn/block.cpp:1: includes "block.hpp": no such file from the root')
        self.expect("arrows", 'nn/block.cpp:2: includes "core/gone.hpp": no such file from the root')

    def test_a_project_file_in_angle_brackets_is_named(self):
        self.write("nn/block.cpp", "#include <core/error.hpp>\n")
        self.expect("arrows", "nn/block.cpp:1: includes <core/error.hpp>: a file of the project")

    def test_code_outside_the_modules_is_named(self):
        self.write("extras/more.cpp", "")
        self.expect("arrows", "extras/more.cpp: code belongs into one of")

    def test_code_in_another_format_is_named(self):
        self.write("core/shape.cu", "int  x ;\n")
        self.expect("format", "core/shape.cu:1")

    def test_long_files_marks_and_tabs_are_named(self):
        self.write("core/shape.hpp", "\n" * 201)
        self.write("core/shape.cpp", "\n" * 351)
        self.write("docs/guide.md", "a\n" * 601)
        self.write("core/shape.cu", "// TO" + "DO\n\tint x;\n")
        self.expect("limits", "core/shape.hpp: 201 lines, 200 are the most")
        self.expect("limits", "core/shape.cpp: 351 lines, 350 are the most")
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


if __name__ == "__main__":
    unittest.main()
