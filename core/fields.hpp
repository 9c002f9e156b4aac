// The members of a plain struct, in their order. C++20 has no reflection, so the struct is taken apart by
// structured bindings, which need the number of its members.
#pragma once
#include <cstddef>
#include <utility>

namespace granule {

namespace detail {

/// It converts to every member's type, and is only used to count members.
struct AnyField {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};
template <class T, std::size_t... I>
concept BraceConstructible = requires {
  T{(static_cast<void>(I), AnyField{})...};
};

template <class T, std::size_t... I>
constexpr std::size_t count_fields(std::index_sequence<I...> /*fits*/) {
  if constexpr (BraceConstructible<T, I..., sizeof...(I)>) {
    return count_fields<T>(std::make_index_sequence<sizeof...(I) + 1>{});
  } else {
    return sizeof...(I);
  }
}

}  // namespace detail

/// for_each_field has a line for each number of members up to this one.
inline constexpr std::size_t kMostFields = 10;

template <class T>
inline constexpr std::size_t kFields = detail::count_fields<T>(std::index_sequence<>{});

/// Calls visit(member) for each member of `all`.
template <class T, class Visit>
constexpr void for_each_field(const T& all, const Visit& visit) {
  const auto each = [&](const auto&... field) { (visit(field), ...); };
  static_assert(kFields<T> >= 1 && kFields<T> <= kMostFields,
                "give for_each_field a line for this number of members");
  if constexpr (kFields<T> == 1) {
    const auto& [a] = all;
    each(a);
  } else if constexpr (kFields<T> == 2) {
    const auto& [a, b] = all;
    each(a, b);
  } else if constexpr (kFields<T> == 3) {
    const auto& [a, b, c] = all;
    each(a, b, c);
  } else if constexpr (kFields<T> == 4) {
    const auto& [a, b, c, d] = all;
    each(a, b, c, d);
  } else if constexpr (kFields<T> == 5) {
    const auto& [a, b, c, d, e] = all;
    each(a, b, c, d, e);
  } else if constexpr (kFields<T> == 6) {
    const auto& [a, b, c, d, e, f] = all;
    each(a, b, c, d, e, f);
  } else if constexpr (kFields<T> == 7) {
    const auto& [a, b, c, d, e, f, g] = all;
    each(a, b, c, d, e, f, g);
  } else if constexpr (kFields<T> == 8) {
    const auto& [a, b, c, d, e, f, g, h] = all;
    each(a, b, c, d, e, f, g, h);
  } else if constexpr (kFields<T> == 9) {
    const auto& [a, b, c, d, e, f, g, h, i] = all;
    each(a, b, c, d, e, f, g, h, i);
  } else {
    const auto& [a, b, c, d, e, f, g, h, i, j] = all;
    each(a, b, c, d, e, f, g, h, i, j);
  }
}

}  // namespace granule
