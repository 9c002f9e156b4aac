// A value of a JSON file together with its place, so that an error can name it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// It refers to the value, which must outlive it. All errors are user errors.
class JsonField {
 public:
  /// The value of the whole file. `advice` ends every message.
  JsonField(const nlohmann::json& value, std::string file, std::string advice);

  /// Throws "<name> <problem> (<file>): <advice>". The name is the place in the file, such as
  /// "shards[3].sha256".
  [[noreturn]] void refuse(std::string_view problem) const;
  [[nodiscard]] const nlohmann::json& json() const { return *value_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& name() const { return name_; }  ///< the place in the file

  /// Whether this is an object with a value other than null under the key.
  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] JsonField at(const std::string& key) const;
  [[nodiscard]] JsonField element(std::size_t index) const;  ///< of a list, which must have it

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::int64_t count() const;  ///< an integer, at least 0
  [[nodiscard]] bool flag() const;
  [[nodiscard]] std::size_t list_size() const;
  void require_object() const;

 private:
  const nlohmann::json* value_;
  std::string file_, name_, advice_;
};

}  // namespace granule
