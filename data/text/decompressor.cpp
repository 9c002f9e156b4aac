#include "data/text/decompressor.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <zlib.h>
#include <zstd.h>

#include "core/error.hpp"
#include "data/text/stdin_file.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPortion = std::size_t{1} << 20;
constexpr std::string_view kGzipStart = "\x1f\x8b";
constexpr const char* kAdvice = "get the file again";

/// The extension in lower case.
std::string extension_of(const fs::path& path) {
  std::string extension = path.extension();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return extension;
}

// A frame, or a skippable frame, with which parallel compressors begin.
bool is_zstd(std::string_view bytes) {
  if (bytes.size() < 4) return false;
  const bool skippable =
      (static_cast<unsigned char>(bytes[0]) & 0xF0U) == 0x50 && bytes.substr(1, 3) == "\x2a\x4d\x18";
  return skippable || bytes.starts_with("\x28\xb5\x2f\xfd");
}

class Gzip final : public Decompressor {
 public:
  Gzip(std::span<const std::byte> file, const fs::path& path) : Decompressor(file, path) {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) damaged("zlib cannot start");
  }
  ~Gzip() override { inflateEnd(&stream_); }

 private:
  Progress step(std::span<const std::byte> in, std::span<char> out) override {
    if (ended_ && !start_next(in)) return {in.size(), 0};
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    const std::size_t available = std::min(in.size(), kMost), room = std::min(out.size(), kMost);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(available);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      damaged(stream_.msg == nullptr ? "bad data" : stream_.msg);
    ended_ = result == Z_STREAM_END;
    return {available - stream_.avail_in, room - stream_.avail_out};
  }
  [[nodiscard]] bool complete() const override { return ended_; }

  // After the end another member may follow, or zeros that fill a block of a tape or disk.
  bool start_next(std::span<const std::byte> in) {
    if (in.empty()) return false;
    if (std::ranges::all_of(in, [](std::byte b) { return b == std::byte{0}; })) return false;
    if (in.front() != std::byte{0x1f}) damaged("something else follows the compressed text");
    ended_ = false;
    inflateReset(&stream_);
    return true;
  }

  z_stream stream_{};
  bool ended_ = false;
};

class Zstd final : public Decompressor {
 public:
  Zstd(std::span<const std::byte> file, const fs::path& path) : Decompressor(file, path) {
    if (stream_ == nullptr) throw std::bad_alloc();
    // Long windows (zstd --long) take memory only if a file has them.
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax,
                           ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
  }

 private:
  Progress step(std::span<const std::byte> in, std::span<char> out) override {
    if (in.empty() && between_frames_) return {};  // another call would begin another frame
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_.get(), &output, &input);
    if (ZSTD_isError(result) != 0) damaged(ZSTD_getErrorName(result));
    between_frames_ = result == 0;
    return {input.pos, output.pos};
  }
  [[nodiscard]] bool complete() const override { return between_frames_; }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_{ZSTD_createDStream()};
  bool between_frames_ = false;
};

}  // namespace

Decompressor::Decompressor(std::span<const std::byte> file, fs::path path)
    : file_(file), path_(std::move(path)) {}

std::unique_ptr<Decompressor> Decompressor::of(std::span<const std::byte> file, const fs::path& path) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.starts_with(kGzipStart)) return std::make_unique<Gzip>(file, path);
  if (is_zstd(bytes)) return std::make_unique<Zstd>(file, path);
  if (extension_of(path) == ".gz") user_error("not a gzip file", path.string(), kAdvice);
  if (extension_of(path) == ".zst") user_error("not a Zstandard file", path.string(), kAdvice);
  return nullptr;
}

void Decompressor::damaged(const std::string& how) const {
  user_error(fmt::format("the compressed file is damaged: {}", how), name_of_input(path_), kAdvice);
}

bool Decompressor::read(std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + kPortion);
  std::size_t filled = before;
  while (filled < out.size()) {
    const auto [read, written] =
        step(file_.subspan(consumed_), std::span(out.data() + filled, out.size() - filled));
    consumed_ += read;
    filled += written;
    if (read == 0 && written == 0) break;
  }
  const bool at_the_end = filled < out.size();
  out.resize(filled);
  if (at_the_end && !complete())
    user_error("the compressed file ends too early", name_of_input(path_), kAdvice);
  return filled > before;
}

fs::path uncompressed_name(const fs::path& path) {
  const std::string extension = extension_of(path);
  const bool compressed = extension == ".gz" || extension == ".zst";
  return compressed ? path.parent_path() / path.stem() : path;
}

}  // namespace granule
