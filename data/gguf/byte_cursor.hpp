// Reads numbers and texts from the header of a GGUF file, and never past its end.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace granule {

template <class... Args>
[[noreturn]] void refuse_gguf(std::string_view where, fmt::format_string<Args...> text, Args&&... args) {
  user_error(fmt::format("not a valid GGUF file: {}", fmt::format(text, std::forward<Args>(args)...)), where,
             "copy or download it again");
}

class ByteCursor {
 public:
  ByteCursor(std::span<const std::byte> file, std::string_view where) : file_(file), where_(where) {}

  [[nodiscard]] std::string_view where() const { return where_; }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return file_.size() - position_; }

  template <class T>
  [[nodiscard]] T number(std::string_view what) {
    static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");
    T value{};
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  [[nodiscard]] std::string text(std::string_view what) {
    const auto bytes = take(number<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// How many things follow. Each needs at least `bytes`, so a number that the file cannot hold is refused
  /// before memory is taken for it.
  [[nodiscard]] std::uint64_t count(std::size_t bytes, std::string_view what) {
    const auto number_of = number<std::uint64_t>(what);
    if (number_of > left() / bytes)
      refuse_gguf(where_, "{} {} do not fit into the {} bytes left", number_of, what, left());
    return number_of;
  }

 private:
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t bytes, std::string_view what) {
    if (bytes > left())
      refuse_gguf(where_, "it ends inside {}: {} bytes at {} of {}", what, bytes, position_, file_.size());
    const auto taken = file_.subspan(position_, bytes);
    position_ += bytes;
    return taken;
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  std::size_t position_ = 0;
};

}  // namespace granule
