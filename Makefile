# One verb per need; CI runs the same verbs. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.ONESHELL:

# --- What this machine needs ---------------------------------------------------------------------

# Debian packages to build, to test and to run the demo. Swift itself is not among them; the second
# line is what its toolchain loads.
BUILD_PACKAGES := build-essential dpkg-dev pkg-config git ca-certificates file python3 \
    libncurses6 libsqlite3-0 libxml2 tzdata \
    autoconf automake autopoint bison flex gettext libtool perl xz-utils zstd \
    libargon2-dev libblkid-dev libcryptsetup-dev libcurl4-openssl-dev libdevmapper-dev \
    libfdisk-dev libjson-c-dev liblzma-dev libmount-dev libpopt-dev libssl-dev libyaml-dev libzstd-dev uuid-dev zlib1g-dev
# What `firstlight-image initramfs` puts into an image.
IMAGE_PACKAGES := linux-image-amd64 busybox-static kmod cpio squashfs-tools \
    btrfs-progs dosfstools e2fsprogs mdadm util-linux xfsprogs
# Virtual machines, servers, and the peers that tests compare with.
TEST_PACKAGES := qemu-system-x86 ipxe-qemu seabios debootstrap \
    clevis clevis-luks clevis-tpm2 jose swtpm tang tpm2-tools \
    nginx-light tinyproxy tftpd-hpa dnsmasq-base radvd openssl xorriso isolinux pxelinux syslinux-common \
    erofs-utils cryptsetup-bin fdisk gdisk iproute2 mount openssh-client policycoreutils udev systemd \
    dracut-core dracut-live dracut-network ignition initramfs-tools-core kpartx lintian ostree \
    grub-efi-amd64-bin grub-efi-amd64-signed mtools ovmf python3-yaml sbsigntool shim-signed skopeo systemd-boot-efi umoci
PACKAGES := $(BUILD_PACKAGES) $(IMAGE_PACKAGES) $(TEST_PACKAGES)

# --- How the programs are built --------------------------------------------------------------------

# -static-executable: one file that asks for no dynamic loader, the Swift runtime included.
# -Osize:             3 % smaller than -O and quicker to compile; what is slow here is the network,
#                     the disk and the kernel.
# -static-pie:        at an address that nobody can guess. lld, since gold knows no static PIE; without the
#                     run path of SwiftPM, at which glibc's own loading of a static PIE crashes.
# relro, now:         what the start of the program fills in is read-only from then on (relro.ld: Swift's too).
# relr, icf:          pay for the relocations that this takes: they are packed, and identical code is folded.
# function-sections:  what no one calls is left out, and identical code folded, function by function; -O2 of the
#                     linker folds the ends of strings. --gc-sections comes with SwiftPM's release build.
# internalize-at-link: what is public in one module and used in no other is left out, too: 0.6 MB of the agent.
# out/build:          what the programs know of their build (Sources/CBuild).
RELEASE := -c release --scratch-path .build-agent -Xswiftc -static-executable -Xswiftc -Osize \
    -Xcc -I$(CURDIR)/out/build -Xcc -fstack-protector-strong \
    -Xswiftc -use-ld=lld -Xswiftc -Xclang-linker -Xswiftc -static-pie --disable-local-rpath \
    -Xswiftc -Xfrontend -Xswiftc -function-sections -Xswiftc -Xfrontend -Xswiftc -internalize-at-link \
    $(foreach word,-O2 -z relro -z now --pack-dyn-relocs=relr --icf=safe -T $(CURDIR)/Sources/StaticLibraries/relro.ld, \
        -Xlinker $(word))
# glibc warns that getaddrinfo and friends need its shared libraries: `files` and `dns` are built in
# since 2.34, and tests on the shipped binary resolve names in an empty root.
QUIET := { grep --line-buffered -vE 'statically linked applications requires|mktemp|^$$' || true; }

# Bytes. The build fails when the agent outgrows them.
MAX_AGENT := 24000000
MAX_AGENT_ZSTD := 8000000

STATIC_LIBRARIES := Sources/StaticLibraries/build
# What is built to be tried goes on with the newest library that the archive serves in full; what is built to be
# shipped (agent, tool, programs) stops where that is an older one.
demo bench man completions test test-all host-test guest-test boot-test test-oracles test-powercut test-rack: \
    export ALLOW_OLDER ?= 1
BILL := python3 Sources/StaticLibraries/bill_of_materials.py
HARNESS := python3 Tests/Harness/run.py

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install every Debian package that building, testing and the demo need (root)
	@installed=$$(dpkg-query -W -f '$${db:Status-Abbrev} $${Package}\n' $(PACKAGES) 2>/dev/null || true)
	missing=$$(comm -13 <(sed -n 's/^ii *//p' <<<"$$installed" | sort -u) <(printf '%s\n' $(PACKAGES) | sort -u))
	if [ -n "$$missing" ]; then
	    echo "setup: installing" $$missing
	    export DEBIAN_FRONTEND=noninteractive
	    mkdir -p out
	    while sleep 60 >/dev/null 2>&1; do echo "setup: at it: $$(tail -n 1 out/setup.log)"; done & telling=$$!
	    trap 'kill $$telling' EXIT
	    { apt-get -qq update && apt-get -qq install --no-install-recommends $(PACKAGES); } >out/setup.log 2>&1 ||
	        { tail -n 20 out/setup.log >&2; echo "setup: failed; all of it: out/setup.log" >&2; exit 1; }
	fi
	swift --version >/dev/null 2>&1 || { echo "setup: \`swift --version\` fails; Swift 6.3 is needed" >&2; exit 1; }

# --- Programs ------------------------------------------------------------------------------------

.PHONY: agent
agent: ## Build the static agent: out/firstlight, and beside it what it is made of (SPDX)
	@prefix=$$($(STATIC_LIBRARIES))
	$(BILL) header $$prefix out/build/firstlight-build.h
	PKG_CONFIG_PATH=$$prefix/lib/pkgconfig swift build $(RELEASE) --product firstlight 2>&1 | $(QUIET)
	if [ out/firstlight -nt .build-agent/release/firstlight ] && [ out/firstlight -nt Makefile ] &&
	    [ -e out/firstlight.spdx.json ]; then exit 0; fi
	strip --strip-all -o out/.firstlight .build-agent/release/firstlight
	# libargon2 ends its threads with pthread_exit, which takes unwind tables: they are there, and work.
	frames=$$(readelf --debug-dump=frames-interp --wide out/.firstlight 2>/dev/null | grep -c ' FDE ' || true)
	[ "$$frames" -gt 10000 ] || { echo "agent: the link has lost its unwind tables" >&2; exit 1; }
	out/.firstlight self-test
	size=$$(stat -c %s out/.firstlight)
	packed=$$(zstd -19 -T0 -q -c out/.firstlight | wc -c)
	echo "agent: $$size bytes of $(MAX_AGENT), with zstd -19 $$packed of $(MAX_AGENT_ZSTD)"
	if [ "$$size" -gt $(MAX_AGENT) ] || [ "$$packed" -gt $(MAX_AGENT_ZSTD) ]; then
	    echo "agent: over its budget; \`git log -p Package.swift\` may tell what grew" >&2
	    exit 1
	fi
	$(BILL) spdx $$prefix out/.firstlight out/firstlight.spdx.json
	mv out/.firstlight out/firstlight

.PHONY: programs
programs: ## Build the agent and the tool at once
	@prefix=$$($(STATIC_LIBRARIES))
	$(BILL) header $$prefix out/build/firstlight-build.h
	PKG_CONFIG_PATH=$$prefix/lib/pkgconfig swift build $(RELEASE) 2>&1 | $(QUIET)
	$(MAKE) --no-print-directory agent tool

.PHONY: tool
tool: ## Build the image tool: out/firstlight-image
	@prefix=$$($(STATIC_LIBRARIES))
	$(BILL) header $$prefix out/build/firstlight-build.h
	PKG_CONFIG_PATH=$$prefix/lib/pkgconfig swift build $(RELEASE) --product firstlight-image 2>&1 | $(QUIET)
	# Under this name it has the commands of Fedora CoreOS's installer alone.
	ln -sfn firstlight-image out/coreos-installer
	if [ out/firstlight-image -nt .build-agent/release/firstlight-image ]; then exit 0; fi
	strip --strip-all -o out/.firstlight-image .build-agent/release/firstlight-image
	mv out/.firstlight-image out/firstlight-image

# --- Tests -----------------------------------------------------------------------------------------

# `test-unit` and the tests of these names build what they need; `test` and `test-all` build everything.

.PHONY: test
test: setup lint ## What every change has to pass; ends with `N passed, N failed` (root)
	@$(HARNESS) test

.PHONY: test-all
test-all: setup lint ## Every test there is but the long power cut; RECORD=1 writes down how long each took (root)
	@$(HARNESS) all $(if $(filter-out 0 no,$(RECORD)),--record)

.PHONY: test-unit
test-unit: ## The unit tests: no root, no guest, seconds
	@mkdir -p out
	rm -f out/unit.xml
	python3 Tests/Harness/root_images.py out/root-images
	swift test --disable-xctest --xunit-output out/unit.xml | { grep --line-buffered -v '^◇' || true; }

.PHONY: host-test
host-test: setup ## The tests on this machine itself, or those of NAME=... (root)
	@$(HARNESS) host $(NAME)

.PHONY: guest-test
guest-test: setup ## The tests inside a virtual machine, or those of NAME=..., of those CASE=... (root)
	@$(HARNESS) guest $(NAME)

.PHONY: boot-test
boot-test: setup ## The boot tests, or those of NAME=..., with the kernel of KERNEL=debian13 (root)
	@$(HARNESS) boot $(if $(KERNEL),--kernel $(KERNEL)) $(NAME)

.PHONY: test-oracles
test-oracles: setup ## Compare Fixtures/oracles with what Debian's Ignition leaves; RECORD=1 records it; NAME=... (root)
	@python3 Tests/Harness/oracle_runs.py $(if $(filter-out 0 no,$(RECORD)),--record) $(NAME)

.PHONY: test-powercut
test-powercut: setup ## Cut the power at 500 moments of a provisioning run, and some more: 80 minutes (root)
	@$(HARNESS) power-cut

.PHONY: test-rack
test-rack: setup ## A boot server and three machines for a day, and what they report: 7 minutes (root)
	@$(HARNESS) rack

.PHONY: list-tests
list-tests: ## List what host-test, guest-test and boot-test cover
	@$(HARNESS) list

.PHONY: lint
lint: ## Check formatting, imports and the syntax of scripts
	@swift format lint --strict --recursive --parallel Sources Tests Package.swift
	# Foundation would double the agent, and a lock in the Dispatch of PID 1 would stop a boot.
	if grep -rnE '^ *(@[A-Za-z]+ +)*((public|package|internal|private|fileprivate) +)?import +([a-z]+ +)?(Foundation|Dispatch)' \
	    --include=*.swift --exclude-dir=firstlight-image Sources >&2; then
	    echo "lint: nothing that the agent links may import Foundation or Dispatch" >&2
	    exit 1
	fi
	# There is one engine. What mounts, fetches and plans is called by it and by the rooms below it, which are these.
	if grep -rnE '^ *(@[A-Za-z]+ +)*((public|package|internal|private|fileprivate) +)?import +([a-z]+ +)?(BlockDevices|DiskPlanning|Fetching|FilePlanning|LiveRoot|Platforms|TargetRoot)\b' \
	    --include=*.swift Sources |
	    grep -vE '^Sources/(ProvisioningEngine|BlockDevices|DiskPlanning|Fetching|FilePlanning|LiveRoot|Network[A-Za-z]*|Platforms|TargetRoot)/' >&2; then
	    echo "lint: have ProvisioningEngine do it; nothing else mounts, fetches or plans" >&2
	    exit 1
	fi
	# An errno alone does not say where to look: FileFault names the file.
	if grep -rnE '(public|package) .*throws\(Errno\)' --include=*.swift --exclude-dir=LinuxSystem Sources >&2; then
	    echo "lint: throw a FileFault, which names the file, or a case of your own" >&2
	    exit 1
	fi
	# There is one answer to what stands on a disk: Look.swift gives it, and names of links are no answer.
	if grep -rnE '^ *(@[A-Za-z]+ +)*import +CBlkid|BlockProbe\(|PartitionTableReader\(|blkid_[a-z_]+\(' --include=*.swift Sources |
	    grep -vE '^Sources/(BlockDevices/(Look|BlockProbe|Eraser)|Devices/DeviceProbe)\.swift:' >&2; then
	    echo "lint: ask Look what stands on a disk, not libblkid" >&2
	    exit 1
	fi
	# Bytes as text and numbers in bytes are Encoding's. In the files named here it is numbers that are in base 16: of
	# addresses, of kernel tables, of devices, of scalars and arguments.
	if grep -rnE 'radix: *16\b|Array\("0123456789(abcdef|ABCDEF)"|hexDigitValue|-----(BEGIN|END) |\(littleEndian: *[a-z]|\$$0 << 8 \|' \
	    --include=*.swift --exclude-dir=Encoding Sources |
	    grep -vE '^Sources/(Accounts/AccountSettings|BootArguments/IPAddress|DeviceNames/DeviceLinks|DiskPlanning/Erasing|ImageMaking/EFIPrograms|LiveRoot/InitramfsRoom|NetworkPlanning/Network(Interface|KernelTables|KeyfileSections)|Platforms/OVFEnvironment|TargetRoot/TargetEntry)\.swift:[0-9]+:.*radix: 16' |
	    grep -vE '^Sources/(BootMedia/Customization|InitramfsImage/CertificateBundle)\.swift:[0-9]+:.*-----' >&2; then
	    echo "lint: have Encoding read and write hexadecimal, PEM and numbers in bytes" >&2
	    exit 1
	fi
	# Messages are for people, and their words change: programs go by a value.
	if grep -rnE '(\b(message|messages|description|sentence|complaint|warning|remark)|"\\\((error|failure|fault|problem)\)")\.(contains|hasPrefix|hasSuffix|firstRange|starts)\(' \
	    --include=*.swift Sources >&2; then
	    echo "lint: give it a typed value beside its text, and go by that" >&2
	    exit 1
	fi
	# What a boot leaves in RAM has one table of names.
	if grep -rnE '(StateFolder|Networking)\.folder\.appending|FilePath\(runFolder\)\.appending|"/run/firstlight/|\\\(runFolder\)/' \
	    --include=*.swift Sources | grep -v '^Sources/Reporting/RunFolder\.swift:' >&2; then
	    echo "lint: name it in RunFile (Sources/Reporting/RunFolder.swift)" >&2
	    exit 1
	fi
	python3 Tests/Harness/imports.py
	python3 Tests/Harness/names.py
	python3 Tests/Harness/wording.py
	for script in $$(git ls-files -co --exclude-standard | xargs grep -lE '^#! ?/(usr/)?bin/(env )?(ba)?sh' --); do
	    bash -n "$$script"
	done
	git ls-files -co --exclude-standard '*.py' | xargs python3 -c \
	    'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]'
	echo "lint: nothing to object to"

.PHONY: fuzz
fuzz: ## Fuzz the parsers, SECONDS=60 each, or those of NAME=...; LIBRARIES=1: the C libraries; LIST=1: what was tried
	@python3 Tests/Fuzz/fuzz.py --seconds $(or $(SECONDS),60) $(if $(filter-out 0 no,$(LIBRARIES)),--libraries) \
	    $(if $(filter-out 0 no,$(RECORD)),--record) $(if $(filter-out 0 no,$(LIST)),--list) $(NAME)

.PHONY: arguments
arguments: agent ## Write the table of kernel arguments into the documentation
	@out/firstlight arguments >out/arguments.md
	sed -i -e '/<!-- arguments -->/,/<!-- \/arguments -->/{//!d}' \
	    -e '/<!-- arguments -->/r out/arguments.md' docs/kernel-arguments.md

.PHONY: man
man: agent tool ## Make the man pages, from the programs' help and the table of arguments: out/man
	@python3 Sources/Manual/pages.py out out/man

.PHONY: completions
completions: agent tool ## Make the completions of bash, zsh and fish: out/completions
	@mkdir -p out/completions
	for program in firstlight firstlight-image; do
	    out/$$program --generate-completion-script bash >out/completions/$$program.bash
	    out/$$program --generate-completion-script zsh >out/completions/_$$program
	    out/$$program --generate-completion-script fish >out/completions/$$program.fish
	done

.PHONY: deb
deb: man completions ## Make the Debian packages: out/deb
	@python3 Sources/Packaging/deb.py out out/deb

# --- To look at ----------------------------------------------------------------------------------

.PHONY: demo
demo: setup agent tool ## Boot a machine twice and tell the story; INTERACTIVE=1 ends at a login
	@$(HARNESS) demo $(if $(filter-out 0 no,$(INTERACTIVE)),--interactive)

.PHONY: bench
bench: setup agent tool ## Compare with dracut, the least a boot can do and Debian's ignition, or NAME=... of these
	@$(HARNESS) bench $(NAME)

.PHONY: clean
clean: ## Remove what was built here; ~/.cache/firstlight stays
	@rm -rf out .build .build-agent
