#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/bpe/splitting/split_pattern.hpp"

#include <array>

#include <pcre2.h>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr std::size_t kFirstJitStack = std::size_t{32} << 10;
constexpr std::size_t kMaxJitStack = std::size_t{64} << 20;

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

struct Compiled {
  std::unique_ptr<pcre2_code, Free> code;
  std::string error;  // empty: none
};

Compiled compile(std::string_view pattern, std::uint32_t options) {
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  Compiled result;
  result.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options,
                                  &error, &at, context.get()));
  if (!result.code) result.error = fmt::format("{} at byte {}", message_of(error), at);
  return result;
}

// In Ruby's syntax ^ and $ are always the ends of lines.
constexpr std::uint32_t kRegexOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;

}  // namespace

struct SplitPattern::Machine {
  std::unique_ptr<pcre2_code, Free> code;
  std::unique_ptr<pcre2_match_data, Free> data;
  std::unique_ptr<pcre2_match_context, Free> context;
  std::unique_ptr<pcre2_jit_stack, Free> stack;
};

SplitPattern::SplitPattern(std::string_view pattern, Kind kind, const JsonField& field)
    : machine_(std::make_unique<Machine>()) {
  Compiled compiled = kind == Kind::literal  ? compile(pattern, PCRE2_UTF | PCRE2_LITERAL)
                      : kind == Kind::native ? compile(pattern, kRegexOptions)
                                             : compile(pcre2_from_oniguruma(pattern, field), kRegexOptions);
  if (!compiled.code) field.refuse(fmt::format("cannot be read as a pattern: {}", compiled.error));
  machine_->code = std::move(compiled.code);
  std::uint32_t matches_nothing = 0;
  pcre2_pattern_info(machine_->code.get(), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing != 0) field.refuse("can match the empty string, which splits nothing");
  // Without a JIT compiler pcre2_match interprets, with the same result.
  pcre2_jit_compile(machine_->code.get(), PCRE2_JIT_COMPLETE);
  machine_->data.reset(pcre2_match_data_create(1, nullptr));
  machine_->context.reset(pcre2_match_context_create(nullptr));
  machine_->stack.reset(pcre2_jit_stack_create(kFirstJitStack, kMaxJitStack, nullptr));
  pcre2_jit_stack_assign(machine_->context.get(), nullptr, machine_->stack.get());
}

SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;

std::optional<SplitPattern::Match> SplitPattern::find(std::string_view text, std::size_t from) {
  const int found = pcre2_match(machine_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, PCRE2_NO_UTF_CHECK, machine_->data.get(), machine_->context.get());
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) throw PatternGaveUp{message_of(found), text.data() + from, text.size()};
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(machine_->data.get());
  return Match{ends[0], ends[1]};
}

SplitPattern read_pattern(const JsonField& field) {
  if (field.has("Regex")) return {field.at("Regex").text(), SplitPattern::Kind::regex, field.at("Regex")};
  const JsonField literal = field.at("String");
  if (literal.text().empty()) literal.refuse("is empty");
  return {literal.text(), SplitPattern::Kind::literal, literal};
}

bool is_pcre2(const std::string& pattern) {
  return compile(pattern, kRegexOptions).code != nullptr;
}

}  // namespace granule
