#include "apps/records/event_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/error.hpp"
#include "core/host_name.hpp"
#include "data/files/disk.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.";

// Debian 12's only library for this CRC is Intel's for storage arrays, and a run writes only a few hundred
// bytes in a step.
constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  constexpr std::uint32_t kCastagnoli = 0x82f63b78;  // the bits are in reversed order
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kCastagnoli : 0);
    table[byte] = rest;
  }
  return table;
}();

template <class T>
void put_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

/// In protobuf's wire format, a field is its number and type, and then the value.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, int field, Wire wire) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

/// Field numbers from event.proto and summary.proto.
namespace field {
constexpr int kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5, kEventSession = 7;
constexpr int kSummaryValue = 1, kValueTag = 1, kValueSimple = 2, kSessionStatus = 1;
}  // namespace field

std::string event(double wall_time, std::int64_t step) {
  std::string out;
  put_key(out, field::kEventWallTime, Wire::fixed64);
  put_little_endian(out, std::bit_cast<std::uint64_t>(wall_time));
  if (step == 0) return out;  // a field with its default value is left out
  put_key(out, field::kEventStep, Wire::varint);
  put_varint(out, static_cast<std::uint64_t>(step));
  return out;
}

/// A checksum of data that contain checksums is weak, so TFRecord rotates it and adds a constant.
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

std::string record(std::string_view payload) {
  std::string out;
  put_little_endian(out, static_cast<std::uint64_t>(payload.size()));
  put_little_endian(out, masked_crc(out));
  out += payload;
  put_little_endian(out, masked_crc(payload));
  return out;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The seconds in the name of an event file, or -1 for another file.
std::int64_t seconds_in(const fs::path& path) {
  const std::string name = path.filename().string();
  std::int64_t seconds = -1;
  if (name.starts_with(kPrefix))
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

fs::path next_name(const fs::path& directory) {
  auto seconds = static_cast<std::int64_t>(now());
  for (const auto& entry : fs::directory_iterator(directory))
    seconds = std::max(seconds, seconds_in(entry.path()) + 1);
  return directory / fmt::format("{}{:010}.{}.{}", kPrefix, seconds, host_name(), getpid());
}

void add_scalars(std::vector<Scalar>& scalars, const std::string& tag, const nlohmann::ordered_json& value) {
  if (value.is_number()) scalars.push_back({tag, static_cast<float>(value.get<double>())});
  // Values of single experts are left out. They would be thousands of curves that nobody looks at.
  if (!value.is_object()) return;
  for (const auto& [part, inner] : value.items())
    add_scalars(scalars, fmt::format("{}/{}", tag, part), inner);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::string version_record(double wall_time) {
  std::string out = event(wall_time, 0);
  put_bytes(out, field::kEventFileVersion, "brain.Event:2");
  return record(out);
}

std::string restart_record(double wall_time, std::int64_t step) {
  constexpr int kStart = 1;
  std::string session;
  put_key(session, field::kSessionStatus, Wire::varint);
  put_varint(session, kStart);
  std::string out = event(wall_time, step);
  put_bytes(out, field::kEventSession, session);
  return record(out);
}

std::string scalars_record(double wall_time, std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    put_bytes(value, field::kValueTag, scalar.tag);
    put_key(value, field::kValueSimple, Wire::fixed32);
    put_little_endian(value, std::bit_cast<std::uint32_t>(scalar.value));
    put_bytes(summary, field::kSummaryValue, value);
  }
  std::string out = event(wall_time, step);
  put_bytes(out, field::kEventSummary, summary);
  return record(out);
}

std::vector<Scalar> scalars_of(const nlohmann::ordered_json& row, std::span<const std::int64_t> layers) {
  constexpr std::string_view kByLayer = "_by_layer";
  std::vector<Scalar> scalars;
  for (const auto& [key, value] : row.items()) {
    if (key == "step") continue;
    if (!value.is_array()) {
      add_scalars(scalars, key, value);
      continue;
    }
    GRANULE_CHECK(key.ends_with(kByLayer) && value.size() == layers.size(),
                  "event file: {} has {} entries and there are {} layers", key, value.size(), layers.size());
    const std::string tag = key.substr(0, key.size() - kByLayer.size());
    for (std::size_t i = 0; i < layers.size(); ++i)
      add_scalars(scalars, fmt::format("{}/layer_{}", tag, layers[i]), value[i]);
  }
  return scalars;
}

EventFile::EventFile(const fs::path& directory, std::int64_t first_step) {
  std::error_code failure;
  fs::create_directories(directory, failure);
  if (failure)
    io_error("cannot create the directory: " + failure.message(), directory.string(), "check permissions");
  path_ = next_name(directory);
  file_.reset(std::fopen(path_.c_str(), "wbx"));
  if (!file_) throw_errno("create", path_);
  write(version_record(now()));
  write(restart_record(now(), first_step));
}

void EventFile::append(std::int64_t step, std::span<const Scalar> scalars) {
  write(scalars_record(now(), step, scalars));
}

void EventFile::write(const std::string& record) {
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    throw_errno("write", path_);
  }
}

void EventFile::sync() {
  if (::fdatasync(fileno(file_.get())) != 0) throw_errno("sync", path_);
}

}  // namespace granule
