// TensorBoard's event files. They are records of the TFRecord format, and each is an `Event` of TensorFlow's
// event.proto in protobuf's wire format. Only what a scalar needs is written, so no protobuf library is
// needed.
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
  std::string tag;  ///< TensorBoard groups tags by the part before the first slash
  float value;
  friend bool operator==(const Scalar&, const Scalar&) = default;
};

/// CRC-32C (Castagnoli), as in RFC 3720.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

/// A record is its length, the masked CRC of the length, the event, and the masked CRC of the event.
/// wall_time is in seconds since 1970.
[[nodiscard]] std::string version_record(double wall_time);
/// Says that `step` and later steps are written again. A reader drops what it has of them.
[[nodiscard]] std::string restart_record(double wall_time, std::int64_t step);
[[nodiscard]] std::string scalars_record(double wall_time, std::int64_t step,
                                         std::span<const Scalar> scalars);

/// Every number of a row of metrics.jsonl except its step. The tag is `key`, and `key/part` for an object. A
/// list with one value for each layer, `NAME_by_layer`, gives `NAME/layer_N`. Null is left out.
[[nodiscard]] std::vector<Scalar> scalars_of(const nlohmann::ordered_json& row,
                                             std::span<const std::int64_t> layers);

/// One event file of a run. A resumed run gets another one, whose name sorts after those that exist.
/// TensorBoard reads the files in this order.
class EventFile {
 public:
  /// Creates the directory if it is missing, and a file that continues at `first_step`. Throws exit code 74,
  /// as all member functions do.
  EventFile(const std::filesystem::path& directory, std::int64_t first_step);

  void append(std::int64_t step, std::span<const Scalar> scalars);
  /// When this returns, everything that was appended is on the disk.
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
