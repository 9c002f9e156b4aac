// The content of compressed files as a stream: gzip and Zstandard, also several of them one after the other
// in one file. It does not know what the content is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace granule {

class Decompressor {
 public:
  virtual ~Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  /// The decompressor for a file with this content, which must live as long as the result. There is none if
  /// neither the first bytes nor the name (.gz, .zst) say that it is compressed. Throws a user error if only
  /// the name does.
  [[nodiscard]] static std::unique_ptr<Decompressor> of(std::span<const std::byte> file,
                                                        const std::filesystem::path& path);

  /// Appends some of the content, about a megabyte. False at the end, if nothing is left to append. Throws a
  /// user error that names the file if it is damaged or cut short.
  [[nodiscard]] bool read(std::string& out);
  /// Bytes of the file that have been used.
  [[nodiscard]] std::int64_t consumed() const { return static_cast<std::int64_t>(consumed_); }

 protected:
  Decompressor(std::span<const std::byte> file, std::filesystem::path path);

  struct Progress {
    std::size_t read = 0;
    std::size_t written = 0;
  };
  /// Decompresses from `in` to `out`. Some of either may be left.
  virtual Progress step(std::span<const std::byte> in, std::span<char> out) = 0;
  /// Whether what was read so far is complete, so that the file may end here.
  [[nodiscard]] virtual bool complete() const = 0;
  [[noreturn]] void damaged(const std::string& how) const;

 private:
  std::span<const std::byte> file_;
  std::filesystem::path path_;
  std::size_t consumed_ = 0;
};

/// The name without .gz or .zst, which is the name of the content.
[[nodiscard]] std::filesystem::path uncompressed_name(const std::filesystem::path& path);

}  // namespace granule
