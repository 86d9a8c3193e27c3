#include "network.h"

#include <ATen/Parallel.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/script.h>

#include <utility>

#include "fault.h"
#include "instructions.h"

namespace {

using torch::inductor::AOTIModelPackageLoader;

const char* const kPackaged = "model";  // the name that torch gives the only network in a package

std::string first_line(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  const std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

// Throw what torch threw as one line that names the file.
template <typename Work>
auto reported(const std::filesystem::path& file, const std::string& failed, const Work& work) {
  try {
    return work();
  } catch (const BadInput&) {
    throw;
  } catch (const std::exception& error) {
    throw BadInput(file.string() + " " + failed + ": " + first_line(error));
  }
}

class TorchNetwork : public Network {
 public:
  explicit TorchNetwork(std::filesystem::path file) : file_(std::move(file)) {}

  Array operator()(const Array& input) final {
    const c10::InferenceMode guard;
    const auto given = at::from_blob(const_cast<float*>(input.values.data()), input.sizes, at::kFloat);
    const auto output = reported(file_, "does not take its input", [&] { return run(given); }).contiguous();
    if (output.scalar_type() != at::kFloat) {
      throw BadInput(file_.string() + " does not return single precision");
    }
    const auto* values = output.const_data_ptr<float>();
    return {{values, values + output.numel()}, output.sizes().vec()};
  }

 protected:
  virtual at::Tensor run(const at::Tensor& input) = 0;

 private:
  std::filesystem::path file_;
};

class Script : public TorchNetwork {
 public:
  explicit Script(const std::filesystem::path& file)
      : TorchNetwork(file), module_(torch::jit::load(file.string(), at::kCPU)) {}

 protected:
  at::Tensor run(const at::Tensor& input) override { return module_.forward({input}).toTensor(); }

 private:
  torch::jit::Module module_;
};

class Compiled : public TorchNetwork {
 public:
  explicit Compiled(const std::filesystem::path& file) : TorchNetwork(file), loader_(file.string(), kPackaged) {}

 protected:
  at::Tensor run(const at::Tensor& input) override { return loader_.run({input}).at(0); }

 private:
  AOTIModelPackageLoader loader_;
};

// Refuse machine code that this processor cannot run, before any of it is loaded.
void require_fit(const std::filesystem::path& file) {
  const auto metadata = AOTIModelPackageLoader::load_metadata_from_package(file.string(), kPackaged);
  const auto of = [&](const std::string& key) {
    const auto entry = metadata.find(key);
    return entry == metadata.end() ? std::string() : entry->second;
  };
  const auto lacking = lacking_instructions(of("AOTI_MACHINE"), of("AOTI_CPU_ISA"));
  if (!lacking.empty()) {
    throw BadInput(file.string() + " was compiled for " + lacking + ", which this processor lacks: export it here");
  }
}

}  // namespace

std::unique_ptr<Network> open_network(const std::filesystem::path& folder, const std::string& name) {
  const auto compiled = folder / (name + ".pt2");
  const auto script = folder / (name + ".pt");
  const std::string failed = "is not an exported network";
  if (std::filesystem::is_regular_file(compiled)) {
    return reported(compiled, failed, [&]() -> std::unique_ptr<Network> {
      require_fit(compiled);
      return std::make_unique<Compiled>(compiled);
    });
  }
  if (std::filesystem::is_regular_file(script)) {
    return reported(script, failed, [&]() -> std::unique_ptr<Network> { return std::make_unique<Script>(script); });
  }
  throw BadInput(folder.string() + " holds neither " + name + ".pt nor " + name +
                 ".pt2: name the folder torchscript or aotinductor of stage=export");
}

void set_threads(int count) { at::set_num_threads(count); }
