// TensorBoard's event files: records of the TFRecord format, each an `Event` of TensorFlow's event.proto in
// protobuf's wire format. Only what a scalar needs is written, so no protobuf library is.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace granule {

struct Scalar {
  std::string tag;  ///< TensorBoard groups by what stands before the first slash
  float value;
  friend bool operator==(const Scalar&, const Scalar&) = default;
};

/// CRC-32C (Castagnoli), as in RFC 3720.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

/// One record each: length, its masked CRC, the event, the event's masked CRC. wall_time: seconds since 1970.
[[nodiscard]] std::string version_record(double wall_time);
/// From here on `step` and later are written anew: a reader drops what it has of them.
[[nodiscard]] std::string restart_record(double wall_time, std::int64_t step);
[[nodiscard]] std::string scalars_record(double wall_time, std::int64_t step,
                                         std::span<const Scalar> scalars);

/// Every number of a row of metrics.jsonl but its step: `key`, `key/part` for an object, and for a list of a
/// value per layer, `NAME_by_layer`, `NAME/layer_N`. Null is left out.
[[nodiscard]] std::vector<Scalar> scalars_of(const nlohmann::ordered_json& row,
                                             std::span<const std::int64_t> layers);

/// One file of a run. A resumed run has another, whose name sorts behind those that are there: that is the
/// order in which TensorBoard reads them.
class EventFile {
 public:
  /// Creates the directory where it is missing, and a file that goes on from `first_step`. Throws exit code
  /// 74, as all of it does.
  EventFile(const std::filesystem::path& directory, std::int64_t first_step);

  void append(std::int64_t step, std::span<const Scalar> scalars);
  /// What was appended is on the disk when this returns.
  void sync();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& record);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace granule
