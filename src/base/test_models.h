// Where tests find the models of the catalogue: the folder that `checkbit pull` writes to.
//
// What: tests that need a real model skip themselves, saying so, when it is not there.
#pragma once

#include <cstdlib>
#include <string>

namespace checkbit {

inline std::string pulled_model(const std::string& name) {
  const auto variable = [](const char* key) {
    const char* value = std::getenv(key);
    return std::string(value == nullptr ? "" : value);
  };
  std::string folder = variable("CHECKBIT_HOME");
  if (folder.empty()) {
    const std::string cache = variable("XDG_CACHE_HOME");
    folder = (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/checkbit";
  }
  return folder + "/models/" + name + ".gguf";
}

}  // namespace checkbit
