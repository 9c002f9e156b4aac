// What a user who wrote a name that is none may have meant.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// The one of `known` that a mistyped word is close to; empty when none is. `length` is that of the part that
/// tells words apart: the longer, the more letters may be wrong.
[[nodiscard]] std::string_view near_word(std::string_view word, const std::vector<std::string_view>& known,
                                         std::size_t length);

/// What to write instead of a key that is unknown. Names of other programs (learning_rate, max_steps, top_k)
/// lead to the key that means the same, or to why there is none.
[[nodiscard]] std::string advice_for_key(std::string_view key);

/// The same for a bare name, "learning-rate" too: empty where nothing is known of it.
[[nodiscard]] std::string advice_for_name(std::string_view name);

/// The keys of that bare name, or the key that another program's name means: "train.steps" for "max_steps".
[[nodiscard]] std::vector<std::string_view> keys_meant(std::string_view name);

}  // namespace granule
