// Every subcommand has a function that adds its options to the program and a callback that runs it. A
// callback throws granule::Error for bad input and returns normally on success.
#pragma once
#include <CLI/CLI.hpp>

namespace granule {

/// What the help of every command says about MODEL and CONFIG.
inline constexpr const char* kModelHelp =
    "A run directory (its newest valid checkpoint is read), a checkpoint, or a Hugging Face directory.";
inline constexpr const char* kConfigHelp = "The run configuration, a TOML file.";

void add_tokenizer_command(CLI::App& program);  // tokenizer train | encode | decode
void add_data_command(CLI::App& program);       // data build | import | inspect | where
void add_train_command(CLI::App& program);
void add_sweep_command(CLI::App& program);
void add_eval_command(CLI::App& program);
void add_generate_command(CLI::App& program);
void add_score_command(CLI::App& program);
void add_export_command(CLI::App& program);
void add_inspect_command(CLI::App& program);
void add_status_command(CLI::App& program);
void add_report_command(CLI::App& program);
void add_verify_command(CLI::App& program);
void add_plan_command(CLI::App& program);
void add_bench_command(CLI::App& program);  // bench ceiling | gemm | ops | step

}  // namespace granule
