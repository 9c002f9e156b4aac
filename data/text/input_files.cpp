#include "data/text/input_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include <sys/stat.h>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/text/stdin_file.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> sorted_entries(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  if (error) {
    user_error(fmt::format("cannot list the directory: {}", error.message()), directory.string(),
               "check its permissions");
  }
  std::ranges::sort(entries);
  return entries;
}

TextKind required_kind(const std::string& name, const TextFile& file) {
  if (!file.kind) user_error(file.problem, name, file.advice);
  return *file.kind;
}

InputFile named_file(const fs::path& input, const std::string& text_key) {
  InputFile file{.path = input == kStdin ? stdin_as_file() : input};
  file.bytes = size_of_regular_file(file.path);
  file.kind = required_kind(file.name(), look_at(file.path, text_key));
  return file;
}

/// Searches one directory and follows links. What it finds a second time, it leaves out.
class DirectoryScan {
 public:
  DirectoryScan(const std::string& text_key, InputFiles& found) : text_key_(text_key), found_(found) {}

  void look_through(const fs::path& root) {
    struct stat status {};
    if (::stat(root.c_str(), &status) == 0) folders_.insert(identity(status));
    const std::size_t files = found_.files.size(), left_out = found_.left_out.size();
    folder(root);
    if (found_.files.size() > files) return;
    std::string all = "no text files and no JSON Lines";
    for (std::size_t i = left_out; i < std::min(found_.left_out.size(), left_out + 3); ++i) {
      all += fmt::format("{}{}: {}", i == left_out ? "; left out: " : ", ",
                         found_.left_out[i].path.filename().string(), found_.left_out[i].why);
    }
    const char* const first = without_key_ ? "name the key of the text with --text-key; or " : "";
    user_error(all, root.string(),
               fmt::format("{}name the files themselves, or call them .txt, .md or .jsonl", first));
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;
  static Identity identity(const struct stat& status) { return {status.st_dev, status.st_ino}; }

  void leave_out(const fs::path& path, std::string why) { found_.left_out.push_back({path, std::move(why)}); }

  void folder(const fs::path& directory) {
    for (const fs::path& path : sorted_entries(directory)) entry(path);
  }

  void entry(const fs::path& path) {
    struct stat status {};
    const bool there = ::stat(path.c_str(), &status) == 0;
    const bool is_folder = there && S_ISDIR(status.st_mode);
    if (path.filename().string().starts_with('.')) {
      leave_out(path, is_folder ? "a hidden folder" : "a hidden file");
    } else if (!there) {
      unreachable(path);
    } else if (is_folder) {
      if (!folders_.insert(identity(status)).second)
        return leave_out(path, "a folder that is read already, under another name");
      folder(path);
    } else if (!S_ISREG(status.st_mode)) {
      leave_out(path, "not a regular file");
    } else if (files_.contains(identity(status))) {
      leave_out(path, "a file that is read already, under another name");
    } else if (const auto kind = kind_to_take(path)) {
      files_.insert(identity(status));
      found_.files.push_back({path, status.st_size, *kind});
    }
  }

  void unreachable(const fs::path& path) {
    const int error = errno;
    std::error_code ignored;
    if (!fs::is_symlink(path, ignored)) {
      user_error(fmt::format("cannot read the file: {}", std::strerror(error)), path.string(),
                 "check its permissions");
    }
    leave_out(path, error == ELOOP ? "a link that leads to itself" : "a link that leads nowhere");
  }

  /// For files whose name does not promise text. Absent if this one is not text; the reason is then recorded.
  std::optional<TextKind> kind_to_take(const fs::path& path) {
    const NameSays name = what_name_says(path);
    if (name == NameSays::nothing) return kind_of_nameless(path);
    const TextFile file = look_at(path, text_key_);
    if (name != NameSays::json) return required_kind(path.string(), file);
    if (file.kind && file.has_key) return file.kind;
    leave_out(path, !file.kind      ? file.problem
                    : file.is_empty ? "it is empty"
                                    : fmt::format("JSON without \"{}\"", text_key_));
    without_key_ |= file.kind && !file.is_empty;
    return std::nullopt;
  }

  std::optional<TextKind> kind_of_nameless(const fs::path& path) {
    try {
      const TextFile file = look_at(path, text_key_);
      if (file.kind == TextKind::json_lines && file.has_key) return file.kind;
      leave_out(path, file.kind ? "its name does not say that it is text" : file.problem);
    } catch (const Error& error) {
      if (error.code() != ExitCode::user) throw;
      leave_out(path, "it cannot be read as text");
    }
    return std::nullopt;
  }

  const std::string& text_key_;
  InputFiles& found_;
  std::set<Identity> folders_, files_;
  bool without_key_ = false;  // some JSON was left out because it does not have the key
};

}  // namespace

InputFiles find_input_files(const std::vector<fs::path>& inputs, const std::string& text_key) {
  InputFiles found;
  if (std::ranges::count(inputs, kStdin) > 1) user_error("stdin is named twice", "--input", "name - once");
  for (const fs::path& input : inputs) {
    std::error_code error;  // a name that cannot be looked up is reported when it is opened
    if (fs::is_directory(input, error)) {
      DirectoryScan(text_key, found).look_through(input);
      continue;
    }
    found.files.push_back(named_file(input, text_key));
  }
  if (found.files.empty()) user_error("no input", "--input", "name files or directories");
  return found;
}

}  // namespace granule
