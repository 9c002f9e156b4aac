#include "apps/models/running_model.hpp"

namespace granule {
namespace {

RunConfig with_all_threads(RunConfig config) {
  config.train.threads = 0;
  return config;
}

}  // namespace

RunningModel::RunningModel(const ModelFiles& files, const RunConfig& config)
    : context_(context_options(config, thread_count(config))),
      model_(files.load(context_, config, config.train.dtype, Gradients::no)) {}

RunningModel::RunningModel(const ModelFiles& files) : RunningModel(files, with_all_threads(files.config())) {}

}  // namespace granule
