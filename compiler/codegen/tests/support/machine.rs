//! Runs lowered kernels. The only unsafe code of these tests.
//!
//! What must hold: the kernel passed `verify`, and `check_call` accepted the sizes and the buffers; `hold` sees to both.

use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, default_libcall_names};
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::{Code, Isa, Lowered, Probe, lower, signature};
use mlc_codegen::kernel::Kernel;

type Entry = unsafe extern "C" fn(*const *mut u8, *const i64, i64, i64);

/// The instruction sets that this machine runs.
pub fn runnable() -> Vec<Isa> {
    let fused = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    if fused { vec![Isa::Portable, Isa::Avx2] } else { vec![Isa::Portable] }
}

/// What this thread has computed for, which other programs' turns do not lengthen.
pub fn thread_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes one timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert!(result == 0, "every thread has a clock");
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The rate at which this core multiplies and adds f32 in the widest registers of a set, in operations a second.
pub fn multiply_adds(isa: Isa) -> f64 {
    const TURNS: i64 = 20_000;
    let config = target(isa, "none").frontend_config();
    let probe = Compiled::of(Probe::MultiplyAdds.lower(isa, config), isa);
    let rates = (0..8).map(|_| {
        let start = thread_time();
        probe.run_on(&[TURNS], &mut [], &mut Guarded::new(&[], true), 1);
        TURNS as f64 * Probe::operations(isa) / (thread_time() - start).as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}

/// A kernel as mapped machine code.
pub struct Compiled {
    entry: Entry,
    scratch: Dim,
    pub path: &'static str,
    module: Option<JITModule>,
}

fn target(isa: Isa, opt: &str) -> isa::OwnedTargetIsa {
    let mut flags = settings::builder();
    for (name, value) in [("opt_level", opt), ("enable_verifier", "true"), ("is_pic", "false")] {
        flags.set(name, value).expect("a Cranelift setting");
    }
    let mut builder = match isa {
        Isa::Portable => isa::lookup_by_name("x86_64-unknown-linux-gnu").expect("a supported host"),
        _ => cranelift_native::builder().expect("a supported host"),
    };
    if isa == Isa::Portable {
        for flag in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42"] {
            builder.enable(flag).expect("a Cranelift flag");
        }
    }
    builder.finish(settings::Flags::new(flags)).expect("valid flags")
}

impl Compiled {
    pub fn new(kernel: &Kernel, isa: Isa) -> Compiled {
        Compiled::of(lower(kernel, isa, target(isa, "none").frontend_config(), 0), isa)
    }

    /// Functions that were lowered, the last of which is run.
    pub fn of(lowered: Lowered, isa: Isa) -> Compiled {
        let (leaf, driver) = (target(isa, "none"), target(isa, "speed"));
        let mut module = JITModule::new(JITBuilder::with_isa(target(isa, "none"), default_libcall_names()));
        let last = lowered.functions.len() - 1;
        let mut ids: Vec<FuncId> = Vec::new();
        let mut compiled = Vec::new();
        for (i, code) in lowered.functions.into_iter().enumerate() {
            ids.push(module.declare_anonymous_function(&signature()).expect("a fresh function"));
            let mut function = match code {
                Code::Bytes(bytes) => {
                    module.define_function_bytes(ids[i], 64, &bytes, &[]).expect("room");
                    continue;
                }
                Code::Clif(function) => function,
            };
            function.name = UserFuncName::user(0, i as u32);
            let mut context = Context::for_function(*function);
            let isa = if i == last { &driver } else { &leaf };
            context.compile(&**isa, &mut Default::default()).unwrap_or_else(|e| panic!("{}", e.inner));
            compiled.push((ids[i], context));
        }
        for (id, context) in &compiled {
            let code = context.compiled_code().expect("just compiled");
            let relocs: Vec<_> = code
                .buffer
                .relocs()
                .iter()
                .map(|r| cranelift_module::ModuleReloc::from_mach_reloc(r, &context.func, *id))
                .collect();
            assert!(
                relocs.iter().all(|r| !matches!(r.name, cranelift_module::ModuleRelocTarget::LibCall(_))),
                "code must not call a library"
            );
            module.define_function_bytes(*id, 64, code.code_buffer(), &relocs).expect("room");
        }
        module.finalize_definitions().expect("memory protection");
        let pointer = module.get_finalized_function(ids[last]);
        // SAFETY: the function was defined above with the signature of `Entry`.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(pointer) };
        Compiled { entry, scratch: lowered.scratch, path: lowered.path, module: Some(module) }
    }

    /// Runs all parts, one after another.
    pub fn run(&self, sizes: &[i64], buffers: &mut [Guarded], parts: i64) {
        let mut scratch = self.scratch(sizes, parts);
        self.run_on(sizes, buffers, &mut scratch, parts);
        scratch.check();
        buffers.iter().for_each(Guarded::check);
    }

    /// Poisoned scratch for that many parts.
    pub fn scratch(&self, sizes: &[i64], parts: i64) -> Guarded {
        let scratch = self.scratch.eval(sizes).expect("the check bounds it").max(0);
        Guarded::new(&vec![0xff; (scratch * parts) as usize], true)
    }

    /// Runs all parts on scratch that is there already.
    pub fn run_on(&self, sizes: &[i64], buffers: &mut [Guarded], scratch: &mut Guarded, parts: i64) {
        let mut pointers: Vec<*mut u8> = buffers.iter_mut().map(|b| b.start()).collect();
        pointers.push(scratch.start());
        for part in 0..parts {
            // SAFETY: the kernel is verified and the check proved that it stays inside these buffers; where that proof is
            // wrong, guard pages end the process.
            unsafe { (self.entry)(pointers.as_ptr(), sizes.as_ptr(), part, parts) };
        }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: `entry` is private and is called only through `self`.
            unsafe { module.free_memory() };
        }
    }
}

/// Bytes between two inaccessible pages, flush against the last or the first; what is left of the pages is a canary.
pub struct Guarded {
    map: *mut u8,
    pages: usize,
    start: usize,
    len: usize,
}

const PAGE: usize = 4096;
const CANARY: u8 = 0xa5;

impl Guarded {
    pub fn new(bytes: &[u8], at_end: bool) -> Guarded {
        let pages = bytes.len().div_ceil(PAGE).max(1) + 2;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping.
        let map = unsafe {
            libc::mmap(std::ptr::null_mut(), pages * PAGE, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        assert!(map != libc::MAP_FAILED, "address space");
        let map = map.cast::<u8>();
        let start = if at_end { (pages - 1) * PAGE - bytes.len() } else { PAGE };
        // SAFETY: the range lies inside the mapping; the two guard pages are its first and last.
        unsafe {
            std::ptr::write_bytes(map.add(PAGE), CANARY, (pages - 2) * PAGE);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), map.add(start), bytes.len());
            for page in [0, pages - 1] {
                assert!(libc::mprotect(map.add(page * PAGE).cast(), PAGE, libc::PROT_NONE) == 0, "mprotect");
            }
        }
        Guarded { map, pages, start, len: bytes.len() }
    }

    fn start(&mut self) -> *mut u8 {
        // SAFETY: inside the mapping.
        unsafe { self.map.add(self.start) }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: readable bytes of the mapping, which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.map.add(self.start), self.len) }
    }

    fn check(&self) {
        // SAFETY: the pages between the guards are readable.
        let all = unsafe { std::slice::from_raw_parts(self.map.add(PAGE), (self.pages - 2) * PAGE) };
        let from = self.start - PAGE;
        let outside = all[..from].iter().chain(&all[from + self.len..]);
        assert!(outside.copied().all(|byte| byte == CANARY), "a write outside its buffer");
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing points into it any more.
        unsafe { libc::munmap(self.map.cast(), self.pages * PAGE) };
    }
}
