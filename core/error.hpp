// Errors: one exception type that carries the exit code and the three parts of every message. The library
// throws and never prints or exits. `main` catches once.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace granule {

/// Exit codes of the program (docs/commands.md). An Error carries the one that the program ends with.
enum class ExitCode : int {
  success = 0,
  failure = 1,         ///< anything without its own code: a bug, or misuse of the library
  user = 2,            ///< the user's input: usage, config, data, checkpoint, a device that is not there
  out_of_memory = 71,  ///< memory
  in_use = 73,         ///< another job holds the directory
  io = 74,             ///< could not write
  hang = 75,           ///< the watchdog found a hang
  out_of_step = 76,    ///< ranks ran different collectives
  non_finite = 77,     ///< stopped by the non-finite policy
};

/// what() reads "<what> (<where>): <advice>", the form in which every error reaches a user.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string_view what, std::string_view where, std::string_view advice);
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The user's input is wrong: what, where (file:line, key, argument), and what the user can do about it. Exit
/// code 2.
[[noreturn]] void user_error(std::string_view what, std::string_view where, std::string_view advice);
/// Saving failed. Exit code 74.
[[noreturn]] void io_error(std::string_view what, std::string_view where, std::string_view advice);

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const std::string& message);
[[noreturn]] void assert_failed(const char* file, int line, const char* condition,
                                const std::string& message);
}  // namespace detail

}  // namespace granule

/// The caller made a mistake. The message names the operation and has both numbers.
#define GRANULE_CHECK(condition, ...) \
  (static_cast<bool>(condition)       \
       ? static_cast<void>(0)         \
       : ::granule::detail::check_failed(__FILE__, __LINE__, ::fmt::format(__VA_ARGS__)))

/// Granule itself has a bug: something that cannot happen has happened.
#define GRANULE_ASSERT(condition, ...) \
  (static_cast<bool>(condition)        \
       ? static_cast<void>(0)          \
       : ::granule::detail::assert_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)))
