// The extent of a tensor: up to four dimensions, row-major and contiguous by definition.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace granule {

inline constexpr int kMaxRank = 4;

class Shape {
 public:
  constexpr Shape() = default;
  /// Throws for more than kMaxRank dimensions or a negative one.
  Shape(std::initializer_list<std::int64_t> dims);

  [[nodiscard]] constexpr int rank() const { return rank_; }
  /// Negative indices count from the end.
  [[nodiscard]] std::int64_t operator[](int i) const {
    return dims_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)];
  }
  [[nodiscard]] constexpr std::int64_t numel() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
  }
  [[nodiscard]] std::span<const std::int64_t> dims() const {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }
  [[nodiscard]] std::string str() const;  ///< "[2, 3]"
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace granule
