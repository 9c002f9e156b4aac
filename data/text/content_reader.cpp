#include "data/text/content_reader.hpp"

#include <utility>

namespace granule {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

ContentReader::ContentReader(const std::filesystem::path& path)
    : file_(path), compressed_(Decompressor::of(file_.bytes(), path)) {
  const auto bytes = file_.bytes();
  if (!compressed_) rest_ = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  read_more();
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

bool ContentReader::read_more() {
  if (!compressed_) return false;
  buffer_.erase(0, buffer_.size() - rest_.size());
  const bool more = compressed_->read(buffer_);
  rest_ = buffer_;
  return more;
}

std::string_view ContentReader::take_line() {
  std::size_t end = rest_.find('\n');
  for (std::size_t seen = rest_.size(); end == std::string_view::npos && read_more(); seen = rest_.size())
    end = rest_.find('\n', seen);
  std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view ContentReader::take_all() {
  while (read_more()) {
  }
  return std::exchange(rest_, {});
}

std::int64_t ContentReader::consumed() const {
  return compressed_ ? compressed_->consumed()
                     : static_cast<std::int64_t>(file_.bytes().size() - rest_.size());
}

}  // namespace granule
