#include "data/files/json_field.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace granule {

JsonField::JsonField(const nlohmann::json& value, std::string file, std::string advice)
    : value_(&value), file_(std::move(file)), advice_(std::move(advice)) {}

void JsonField::refuse(std::string_view problem) const {
  user_error(fmt::format("{} {}", name_.empty() ? "the file" : name_, problem), file_, advice_);
}

bool JsonField::has(const std::string& key) const {
  if (!value_->is_object()) return false;
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonField JsonField::at(const std::string& key) const {
  require_object();
  JsonField field = *this;
  field.name_ = name_.empty() ? key : fmt::format("{}.{}", name_, key);
  const auto found = value_->find(key);
  if (found == value_->end()) field.refuse("is missing");
  field.value_ = &*found;
  return field;
}

JsonField JsonField::element(std::size_t index) const {
  JsonField field = *this;
  field.name_ = fmt::format("{}[{}]", name_, index);
  field.value_ = &value_->at(index);
  return field;
}

std::string JsonField::text() const {
  if (!value_->is_string()) refuse("is not a string");
  return value_->get<std::string>();
}

std::int64_t JsonField::count() const {
  const bool fits = value_->is_number_integer() &&
                    !(value_->is_number_unsigned() && value_->get<std::uint64_t>() > INT64_MAX);
  if (!fits || value_->get<std::int64_t>() < 0) refuse("is not a count");
  return value_->get<std::int64_t>();
}

bool JsonField::flag() const {
  if (!value_->is_boolean()) refuse("is neither true nor false");
  return value_->get<bool>();
}

std::size_t JsonField::list_size() const {
  if (!value_->is_array()) refuse("is not a list");
  return value_->size();
}

void JsonField::require_object() const {
  if (!value_->is_object()) refuse("is not an object");
}

}  // namespace granule
