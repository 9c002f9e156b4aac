#include "data/models/tensor_set.hpp"

#include <algorithm>

#include <fmt/ranges.h>

#include "core/error.hpp"
#include "data/files/disk.hpp"
#include "data/models/finite.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

/// Elements [begin, begin + size) of a view.
TensorView part_of(TensorView view, const std::string& name, std::int64_t begin, std::size_t size) {
  const auto element = static_cast<std::size_t>(size_of(view.dtype));
  const std::size_t first = static_cast<std::size_t>(begin) * element, length = size * element;
  GRANULE_CHECK(begin >= 0 && first <= view.bytes.size() && length <= view.bytes.size() - first,
                "reading '{}': elements {} to {} of {}", name, begin, begin + std::int64_t(size),
                view.bytes.size() / element);
  view.bytes = view.bytes.subspan(first, length);
  return view;
}

template <class T>
void read_view(const TensorView& view, std::span<T> out) {
  floats_from_bytes(view.dtype, view.bytes, out);
  if (view.factor == 1.0) return;
  for (T& value : out) value *= static_cast<T>(view.factor);
}

template <class T>
void read_finite(const TensorSet& tensors, const std::string& name, std::span<const std::int64_t> shape,
                 std::span<T> out, std::int64_t begin) {
  read_view(part_of(tensors.get(name, shape), name, begin, out.size()), out);
  if (const auto bad = first_not_finite(dtype_of<T>, std::as_bytes(out))) {
    user_error(fmt::format("element {} of tensor '{}' is not finite", begin + *bad, name),
               tensors.file_of(name).string(), "use another copy or an earlier checkpoint of the model");
  }
}

}  // namespace

void TensorSet::add(SafetensorsFile file) {
  for (std::size_t i = 0; i < file.tensors().size(); ++i) {
    const std::string& name = file.tensors()[i].name;
    const auto [place, added] = places_.try_emplace(name, Place{files_.size(), file.tensors()[i].view});
    if (!added) {
      user_error(fmt::format("tensor '{}' is in two files", name),
                 fmt::format("{} and {}", files_[place->second.file].path().string(), file.path().string()),
                 "remove one of them");
    }
  }
  files_.push_back(std::move(file));
}

void TensorSet::rename(const std::string& from, const std::string& to, double factor) {
  auto place = places_.extract(from);
  GRANULE_CHECK(!place.empty(), "tensor set: no tensor '{}'", from);
  const std::string where = files_[place.mapped().file].path().string();
  if (places_.contains(to)) {
    user_error(fmt::format("there are both tensor '{}' and tensor '{}', which mean the same", from, to),
               where, "take one of them out");
  }
  place.key() = to;
  place.mapped().view.factor *= factor;
  places_.insert(std::move(place));
}

void TensorSet::remove(const std::string& name) {
  GRANULE_CHECK(places_.erase(name) == 1, "tensor set: no tensor '{}'", name);
}

void TensorSet::add_zeros(const std::string& name, std::vector<std::int64_t> shape) {
  std::size_t bytes = sizeof(float);
  for (const std::int64_t extent : shape) bytes *= static_cast<std::size_t>(extent);
  const auto& zeros = zeros_.emplace_back(bytes);
  const bool added = places_.try_emplace(name, Place{0, {DType::f32, std::move(shape), zeros}}).second;
  GRANULE_CHECK(added && !files_.empty(), "tensor set: '{}' is there already, or no file is", name);
}

std::optional<TensorView> TensorSet::find(const std::string& name) const {
  const auto place = places_.find(name);
  if (place == places_.end()) return std::nullopt;
  return place->second.view;
}

std::vector<std::string> TensorSet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

const std::filesystem::path& TensorSet::file_of(const std::string& name) const {
  const auto place = places_.find(name);
  GRANULE_CHECK(place != places_.end(), "tensor set: no tensor '{}'", name);
  return files_[place->second.file].path();
}

TensorView TensorSet::get(const std::string& name, std::span<const std::int64_t> shape) const {
  const auto view = find(name);
  if (!view) {
    const std::string where = files_.empty() ? "no files" : parent_of(files_.front().path()).string();
    user_error(fmt::format("tensor '{}' of shape [{}] is missing", name, fmt::join(shape, ", ")), where,
               "check that the files are of this model");
  }
  const std::string where = file_of(name).string();
  if (!std::equal(shape.begin(), shape.end(), view->shape.begin(), view->shape.end())) {
    user_error(fmt::format("tensor '{}' has shape [{}], expected [{}]", name, fmt::join(view->shape, ", "),
                           fmt::join(shape, ", ")),
               where, "check that the files are of this model");
  }
  if (!view->foreign.empty() || !is_floating(view->dtype)) {
    user_error(fmt::format("tensor '{}' holds {}, expected floating-point numbers (F64, F32, BF16 or F16)",
                           name, view->foreign.empty() ? name_of(view->dtype) : view->foreign),
               where, "convert the weights to one of these types");
  }
  return *view;
}

void TensorSet::read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<float> out,
                          std::int64_t begin) const {
  read_finite(*this, name, shape, out, begin);
}

void TensorSet::read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<double> out,
                          std::int64_t begin) const {
  read_finite(*this, name, shape, out, begin);
}

}  // namespace granule
