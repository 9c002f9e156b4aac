// Where the chat templates of a model come from.
#include "apps/models/chat_templates.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using Templates = std::map<std::string, std::string>;

TEST_CASE("chat_templates: they come from tokenizer_config.json, and files of their own have more right") {
  const TempDir temp;
  CHECK(chat_templates_in(temp.path()).empty());
  const fs::path config = temp / "tokenizer_config.json";
  write_text(config, R"({"chat_template": null})");
  CHECK(chat_templates_in(temp.path()).empty());
  write_text(config, R"({"chat_template": "{{ a }}"})");
  CHECK(chat_templates_in(temp.path()) == Templates{{"default", "{{ a }}"}});
  write_text(
      config,
      R"({"chat_template": [{"name": "default", "template": "b"}, {"name": "rag", "template": "c"}]})");
  CHECK(chat_templates_in(temp.path()) == Templates{{"default", "b"}, {"rag", "c"}});
  fs::create_directory(temp / "additional_chat_templates");
  write_text(temp / "additional_chat_templates/rag.jinja", "d");
  write_text(temp / "additional_chat_templates/notes.txt", "e");
  write_text(temp / "chat_template.jinja", "f\n");
  CHECK(chat_templates_in(temp.path()) == Templates{{"default", "f\n"}, {"rag", "d"}});
  write_text(config, R"({"chat_template": [{"name": "default"}]})");
  CHECK_THAT(user_error_of([&] { (void)chat_templates_in(temp.path()); }),
             Catch::Contains("chat_template[0]"));
  write_text(config, R"({"chat_template": 7})");
  CHECK_THAT(user_error_of([&] { (void)chat_templates_in(temp.path()); }),
             Catch::Contains("chat_template is not a string"));
}
