# Rebuild the shipped models from scratch: `make models`. A step whose file exists is skipped; delete the file
# to repeat it. Files are written atomically, and an interrupted `fit` resumes.
BIN ?= .venv/bin
RUNS ?= build/models
# Templates, visits and real light curves: nightjar-train data lists what it should contain.
DATA ?= $(or $(NIGHTJAR_TRAINING_DATA),$(or $(NIGHTJAR_SHARED),../shared)/lightcurves)
TRAIN := OMP_NUM_THREADS=1 $(BIN)/nightjar-train

CLASSES := Ia:3,91bg:.4,Iax:.6,Ib:1,Ic:1,Ic-BL:.7,II:2,IIn:1,IIb:1,SLSN-I:1.5,TDE:1.5
ZTF_SIMULATE := $(TRAIN) simulate --survey ztf --selection bright --detections-only --data $(DATA) \
  --classes "$(CLASSES),AGN:1,Other:1"
ZTF_SETS := --simulation $(RUNS)/ztf-gr.parquet --simulation $(RUNS)/ztf-gri.parquet
LSST_SET := --simulation $(RUNS)/lsst.parquet

.PHONY: models ztf lsst
.DELETE_ON_ERROR:

models: ztf lsst

ztf: $(RUNS)/ztf-base/run.json
	$(TRAIN) bundle --base $(RUNS)/ztf-base $(ZTF_SETS) --data $(DATA) --output service/models/ztf

lsst: $(RUNS)/lsst-base/run.json
	$(TRAIN) bundle --base $(RUNS)/lsst-base $(LSST_SET) --data $(DATA) --output service/models/lsst

$(RUNS)/ztf-gr.parquet:
	$(ZTF_SIMULATE) --count 120000 --seed 11 --output $@

# The real sets have i for two classes only, so networks learn it from simulations.
$(RUNS)/ztf-gri.parquet:
	$(ZTF_SIMULATE) --count 20000 --seed 21 --bands gri --output $@

$(RUNS)/lsst.parquet:
	$(TRAIN) simulate --survey lsst --selection bright --min-detections 4 --detections-only --data $(DATA) \
	  --classes "$(CLASSES),AGN:2,Other:1" --count 60000 --seed 12 --output $@

$(RUNS)/ztf-base/run.json: $(RUNS)/ztf-gr.parquet $(RUNS)/ztf-gri.parquet
	$(TRAIN) fit --survey ztf $(ZTF_SETS) --early-share 0.9 --epochs 32 --output $(@D)

$(RUNS)/lsst-base/run.json: $(RUNS)/lsst.parquet
	$(TRAIN) fit --survey lsst $(LSST_SET) --hidden 64 --epochs 20 --output $(@D)
