#include "apps/commands.hpp"

namespace granule {

void add_tokenizer_command(CLI::App&) {}
void add_data_command(CLI::App&) {}

}  // namespace granule
