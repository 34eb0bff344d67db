#!/usr/bin/env python3
"""What `initrt plan` predicts for large models on GPUs: tokens per second either way of moving.

    python bench/sharded_prediction.py build/release/launch/initrt

A prediction from a data sheet, not a measurement. Speeds of a rank: an H200's 4.8 TB/s and 989
TFLOP/s in bf16, NVLink's 450 GB/s each way, a 400 Gb/s network's 50 GB/s; of each four fifths count,
which is what copies and large products reach. An exchange of a few bytes takes 10 us over NVLink and
20 us over the network.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

REACHED = 0.8
GPU = {"memory": REACHED * 4.8e12, "compute": REACHED * 989e12}
LINKS = {"NVLink": {"link": REACHED * 450e9, "latency": 10e-6},
         "400 Gb/s": {"link": REACHED * 50e9, "latency": 20e-6}}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
         "rms_norm_eps": 1e-5, "max_position_embeddings": 8192, "rope_theta": 500000.0,
         "num_key_value_heads": 8, "torch_dtype": "bfloat16", "tie_word_embeddings": False}
MODELS = {
    "Llama-3-70B": LLAMA | {"hidden_size": 8192, "intermediate_size": 28672,
                            "num_attention_heads": 64, "num_hidden_layers": 80},
    "Llama-3-405B": LLAMA | {"hidden_size": 16384, "intermediate_size": 53248,
                             "num_attention_heads": 128, "num_hidden_layers": 126},
}


def predict(initrt: str, model: pathlib.Path, world: int, speeds: dict, prompts: int) -> dict:
    texts = json.dumps(["x"] * prompts)
    command = [initrt, "plan", "--json", "--world", str(world), "--set", f"model={model}",
               "--set", "device=cuda", "--set", f"generate.prompts={texts}",
               "--set", f"generate.batch={max(1, prompts // world)}"]
    for name, value in speeds.items():
        command += ["--set", f"speeds.{name}={value}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["moves"]["times"]


def predict_gpus(initrt: str) -> list[dict]:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name, config in MODELS.items():
            model = pathlib.Path(directory) / name
            model.mkdir()
            (model / "config.json").write_text(json.dumps(config))
            for world in (8, 64):
                for link, speeds in LINKS.items():
                    row = {"model": name, "gpus": world, "link": link, "prompts": {}}
                    for prompts in (1, 64):
                        times = predict(initrt, model, world, GPU | speeds, prompts)
                        row["prompts"][prompts] = {
                            way: prompts / times[way]["seconds"]
                            for way in ("weights", "activations")}
                        row["rows_at_crossing"] = times["rows_at_crossing"]
                    rows.append(row)
    return rows


def print_gpus(rows: list[dict]) -> None:
    print(f"\npredicted tokens/s {'':14} one prompt: weights, rows    64 prompts: weights, rows   as "
          "fast at")
    for row in rows:
        rates = [row["prompts"][prompts][way] for prompts in (1, 64)
                 for way in ("weights", "activations")]
        print(f"{row['model']:12} {row['gpus']:>3} GPUs, {row['link']:9} "
              f"{rates[0]:>12.3g} {rates[1]:>13.3g} {rates[2]:>17.3g} {rates[3]:>10.3g} "
              f"{row['rows_at_crossing']:>9} rows")


if __name__ == "__main__":
    print_gpus(predict_gpus(sys.argv[1]))
