// Functions of numbers in both types that kernels compute in. A call with a float must not become one with a
// double, which most devices compute many times more slowly.
#pragma once
#include <cmath>

#include "core/gpu/launch.cuh"

namespace granule::gpu {

__device__ inline float exp_of(float x) {
  return expf(x);
}
__device__ inline double exp_of(double x) {
  return exp(x);
}
__device__ inline float log_of(float x) {
  return logf(x);
}
__device__ inline double log_of(double x) {
  return log(x);
}
__device__ inline float tanh_of(float x) {
  return tanhf(x);
}
__device__ inline double tanh_of(double x) {
  return tanh(x);
}
__device__ inline float erfc_of(float x) {
  return erfcf(x);
}
__device__ inline double erfc_of(double x) {
  return erfc(x);
}
__device__ inline float sqrt_of(float x) {
  return sqrtf(x);
}
__device__ inline double sqrt_of(double x) {
  return sqrt(x);
}
template <class T>
__device__ T larger(T a, T b) {
  return a < b ? b : a;
}
/// Below every number.
template <class T>
__device__ T minus_infinity() {
  return static_cast<T>(-INFINITY);
}

template <class T>
__device__ T sigmoid_of(T x) {
  return T(1) / (T(1) + exp_of(-x));
}

}  // namespace granule::gpu
