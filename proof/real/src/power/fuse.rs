//! The disk as a file system. Nothing is cached outside it: what the program reads and writes, it
//! reads and writes here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Directory, Disk, File, Forgotten, Node, Refused};
use crate::random::Random;

/// Nothing may be remembered by the kernel.
const NEVER: Duration = Duration::ZERO;
const BLOCK: u32 = 4_096;
/// What the disk says of its room: 4 GiB, all free.
const BLOCKS: u64 = 1 << 20;

/// Whether the disk works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    On,
    /// Every call waits.
    Held,
    /// Every call fails.
    Off,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    phase: Phase,
    /// Names of directories as they were when they were opened, by handle.
    listings: BTreeMap<u64, Vec<(OsString, u64)>>,
    last_handle: u64,
}

/// A disk that several threads use.
#[derive(Debug, Clone)]
pub(super) struct SharedDisk(Arc<(Mutex<State>, Condvar)>);

impl SharedDisk {
    pub(super) fn new() -> Self {
        let state = State {
            disk: Disk::default(),
            phase: Phase::On,
            listings: BTreeMap::new(),
            last_handle: 0,
        };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// Lets every call wait from now on: the moment in which the power fails.
    pub(super) fn hold(&self) {
        self.lock().phase = Phase::Held;
    }

    /// The power fails; every call fails until [`SharedDisk::switch_on`].
    pub(super) fn lose_power(&self, random: &mut Random) -> Forgotten {
        let mut state = self.lock();
        state.phase = Phase::Off;
        let forgotten = state.disk.lose_power(random);
        self.0.1.notify_all();
        forgotten
    }

    pub(super) fn switch_on(&self) {
        self.lock().phase = Phase::On;
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic fails the run anyway.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk for one call.
    fn state(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.lock();
        let waited = self
            .0
            .1
            .wait_while(state, |state| state.phase == Phase::Held);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        match state.phase {
            Phase::Off => Err(Errno::EIO),
            Phase::On | Phase::Held => Ok(state),
        }
    }

    fn make(&self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        let disk = &mut self.state()?.disk;
        let number = disk.make(parent.0, name, node)?;
        attributes(disk, number)
    }
}

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Absent => Self::ENOENT,
            Refused::Present => Self::EEXIST,
            Refused::NotEmpty => Self::ENOTEMPTY,
            Refused::WrongKind => Self::ENOTDIR,
        }
    }
}

fn attributes(disk: &Disk, number: u64) -> Result<FileAttr, Errno> {
    let (size, kind, perm) = match disk.node(number)? {
        Node::File(file) => (file.len() as u64, FileType::RegularFile, 0o644),
        Node::Directory(_) => (0, FileType::Directory, 0o755),
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn settle(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn enter(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&NEVER, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for SharedDisk {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let find = || {
            let disk = &self.state()?.disk;
            attributes(disk, disk.find(parent.0, name)?)
        };
        enter(reply, find());
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self
            .state()
            .and_then(|state| attributes(&state.disk, ino.0))
        {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let disk = &mut self.state()?.disk;
            if let Some(size) = size {
                disk.resize(ino.0, index(size))?;
            }
            attributes(disk, ino.0)
        };
        match set() {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let directory = Node::Directory(Directory::default());
        enter(reply, self.make(parent, name, directory));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, Node::File(File::default())) {
            Ok(attributes) => reply.created(
                &NEVER,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || Ok(self.state()?.disk.remove(parent.0, name)?);
        settle(reply, remove());
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(request, parent, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name), (newparent.0, newname));
        let rename = || Ok(self.state()?.disk.rename(from, to)?);
        settle(reply, rename());
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = match self.state() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        match state.disk.read(ino.0, index(offset), size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = || Ok(self.state()?.disk.write(ino.0, index(offset), data)?);
        match write() {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close makes nothing safe.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let sync = || Ok(self.state()?.disk.sync(ino.0)?);
        settle(reply, sync());
    }

    fn fsyncdir(
        &self,
        request: &Request,
        ino: INodeNo,
        fh: FileHandle,
        all: bool,
        reply: ReplyEmpty,
    ) {
        self.fsync(request, ino, fh, all, reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let list = || {
            let mut state = self.state()?;
            let names = state.disk.names(ino.0)?;
            state.last_handle += 1;
            let handle = state.last_handle;
            state.listings.insert(handle, names);
            Ok(handle)
        };
        match list() {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = match self.state() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        let names = state.listings.get(&fh.0).map_or(&[][..], Vec::as_slice);
        for (at, (name, number)) in names.iter().enumerate().skip(index(offset)) {
            let kind = match state.disk.node(*number) {
                Ok(Node::Directory(_)) => FileType::Directory,
                Ok(Node::File(_)) => FileType::RegularFile,
                Err(_) => continue,
            };
            if reply.add(INodeNo(*number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        // Also while the disk is held: the kernel waits for no answer.
        self.lock().listings.remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
