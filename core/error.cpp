#include "core/error.hpp"

namespace granule {
namespace {

std::string compose(std::string_view what, std::string_view where, std::string_view advice) {
  std::string text(what);
  if (!where.empty()) text += fmt::format(" ({})", where);
  if (!advice.empty()) text += fmt::format(": {}", advice);
  return text;
}

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

Error::Error(ExitCode code, std::string_view what, std::string_view where, std::string_view advice)
    : std::runtime_error(compose(what, where, advice)), code_(code) {}

void user_error(std::string_view what, std::string_view where, std::string_view advice) {
  throw Error(ExitCode::user, what, where, advice);
}

void io_error(std::string_view what, std::string_view where, std::string_view advice) {
  throw Error(ExitCode::io, what, where, advice);
}

namespace detail {

void check_failed(const char* file, int line, const std::string& message) {
  throw Error(ExitCode::failure, message, fmt::format("{}:{}", base_name(file), line), "");
}

void assert_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw Error(ExitCode::failure, fmt::format("internal error: {}", message),
              fmt::format("{} at {}:{}", condition, base_name(file), line), "please report it");
}

}  // namespace detail
}  // namespace granule
