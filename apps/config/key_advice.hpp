// What a user may have meant by a name that does not exist.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// The word of `known` that a mistyped word is close to. Empty if there is none. `length` is the length of
/// the part that distinguishes the words: the longer it is, the more letters may be wrong.
[[nodiscard]] std::string_view near_word(std::string_view word, const std::vector<std::string_view>& known,
                                         std::size_t length);

/// What to write instead of an unknown key. Names of other programs (learning_rate, max_steps, top_k) lead to
/// the key with the same meaning, or to the reason why there is none.
[[nodiscard]] std::string advice_for_key(std::string_view key);

/// The same for a bare name, also "learning-rate". Empty if nothing is known about it.
[[nodiscard]] std::string advice_for_name(std::string_view name);

/// The keys with that bare name. For a name of another program, the key that it means: "train.steps" for
/// "max_steps".
[[nodiscard]] std::vector<std::string_view> keys_meant(std::string_view name);

}  // namespace granule
