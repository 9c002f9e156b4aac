// granule export: writes a model for other programs.
#include <map>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/exports/export_model.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

struct ExportArguments {
  ExportRequest request;
  std::string format, dtype = "f32";
  bool no_verify = false;
};

constexpr const char* kExample =
    "Example:\n  granule export runs/tiny --format gguf --out tiny.gguf\n"
    "docs/exports.md says which program reads which format. f32 keeps the weights of a run exactly. bf16 and "
    "f16 round them and halve the size; q8_0 halves it once more.";

ExportFormat format_of(const std::string& name) {
  for (const ExportFormat format : {ExportFormat::hf, ExportFormat::qwen2moe, ExportFormat::gguf}) {
    if (name_of(format) == name) return format;
  }
  user_error(fmt::format("there is no format '{}'", name), "command line",
             "use --format hf, hf-qwen2moe or gguf");
}

StoredType type_of(const std::string& name) {
  for (const StoredType type : {StoredType::f32, StoredType::f16, StoredType::bf16, StoredType::q8_0}) {
    if (name_of(type) == name) return type;
  }
  user_error(fmt::format("there is no type '{}' of weights", name), "--dtype", "use f32, f16, bf16 or q8_0");
}

std::string verdict(const ExportRequest& request, const ExportResult& result) {
  if (request.check == ReadBackCheck::no) return "not verified";
  if (request.type == StoredType::f32) return "read back and equal";
  return fmt::format("read back: its logits differ from the model's by {:.2g} of their spread",
                     result.difference);
}

void say_what_was_written(const ExportRequest& request, const ExportResult& result) {
  say("{}: {} tensors in {}, {}{}", request.out.string(), result.tensors, name_of(request.type),
      verdict(request, result), result.has_tokenizer ? "" : "; the model has no tokenizer");
  for (const std::string& note : result.notes) say("{}: {}", request.out.string(), note);
  if (!result.left.empty())
    say("not copied from {}: {}", request.model.string(), fmt::join(result.left, ", "));
  const nlohmann::ordered_json report{{"out", request.out.string()},
                                      {"format", std::string(name_of(request.format))},
                                      {"dtype", std::string(name_of(request.type))},
                                      {"tensors", result.tensors},
                                      {"verified", request.check == ReadBackCheck::yes}};
  print_json(report);
}

void run_export(ExportArguments& arguments) {
  ExportRequest& request = arguments.request;
  request.format = format_of(arguments.format);
  request.type = type_of(arguments.dtype);
  request.check = arguments.no_verify ? ReadBackCheck::no : ReadBackCheck::yes;
  say_what_was_written(request, export_model(request));
}

}  // namespace

void add_export_command(CLI::App& program) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App& command = *program.add_subcommand("export", "Write a model for other programs.");
  command.add_option("model", arguments->request.model, kModelHelp)->required()->type_name("MODEL");
  command
      .add_option("--format", arguments->format,
                  "gguf writes one file for llama.cpp. hf-qwen2moe writes a Hugging Face directory that "
                  "transformers and vLLM load (Qwen2MoeForCausalLM). hf writes the layout of the published "
                  "deepseek model (DeepseekForCausalLM).")
      ->required()
      ->type_name("hf|hf-qwen2moe|gguf");
  command
      .add_option("--out", arguments->request.out,
                  "The directory to write, which must be new or empty. For gguf, the new file.")
      ->required()
      ->type_name("PATH");
  command
      .add_option("--dtype", arguments->dtype,
                  "The type of the weights in the files. q8_0 is for gguf alone.")
      ->type_name("f32|f16|bf16|q8_0")
      ->capture_default_str();
  command.add_flag("--no-verify", arguments->no_verify,
                   "Do not read back what was written, and do not compare its logits with the model's.");
  command.footer(kExample);
  command.callback([arguments] { run_export(*arguments); });
}

}  // namespace granule
