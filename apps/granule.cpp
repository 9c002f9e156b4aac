#include "apps/cli.hpp"

int main(int argc, char** argv) {
  return granule::run_cli(argc, argv);
}
