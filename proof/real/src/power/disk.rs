//! What a disk holds, and what of it outlives a loss of power: only what was synced.
//!
//! Stricter than most file systems, as POSIX allows: the bytes of a file are safe after an `fsync`
//! of the file, its name after one of the directory that holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::random::Random;

/// The number of the top directory. Source: FUSE.
pub const ROOT: u64 = 1;

/// Files and directories by number; a number is never used again.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    last: u64,
}

/// What has a number.
#[derive(Debug)]
pub enum Node {
    /// The bytes of a file.
    File(File),
    /// The names in a directory.
    Directory(Directory),
}

/// Bytes as they are read, as they would be after a loss of power, and the changes between the two
/// in their order.
#[derive(Debug, Default)]
pub struct File {
    now: Vec<u8>,
    safe: Vec<u8>,
    pending: Vec<Change>,
}

/// Names as they are seen, as they would be after a loss of power, and the changes between the two
/// in their order.
#[derive(Debug, Default)]
pub struct Directory {
    now: BTreeMap<OsString, u64>,
    safe: BTreeMap<OsString, u64>,
    /// Each holds the names that change together: a rename within a directory is whole or not at
    /// all.
    pending: Vec<Names>,
}

type Names = Vec<(OsString, Option<u64>)>;

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such name or number.
    Absent,
    /// The name is taken.
    Present,
    /// The directory has names.
    NotEmpty,
    /// A file where a directory is needed, or the other way round.
    WrongKind,
}

/// What one loss of power has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Writes and changes of size that were not synced.
    pub writes: u64,
    /// Of a write that was not synced, only the first bytes are there.
    pub torn: u64,
    /// Names made, changed or removed that were not synced.
    pub names: u64,
}

/// What becomes of changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// None is there.
    All,
    /// The first ones are there, the next is torn.
    AfterSome,
    /// Each is there or not, as a disk that writes in an order of its own leaves them; the last one
    /// there is torn.
    Any,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Directory(Directory::default());
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
        }
    }
}

impl Disk {
    /// What has this number.
    ///
    /// # Errors
    /// [`Refused::Absent`].
    pub fn node(&self, number: u64) -> Result<&Node, Refused> {
        self.nodes.get(&number).ok_or(Refused::Absent)
    }

    /// The number of a name.
    ///
    /// # Errors
    /// [`Refused`] when there is none.
    pub fn find(&self, directory: u64, name: &OsStr) -> Result<u64, Refused> {
        let found = self.directory(directory)?.now.get(name);
        found.copied().ok_or(Refused::Absent)
    }

    /// Names of a directory and their numbers.
    ///
    /// # Errors
    /// [`Refused`] when it is none.
    pub fn names(&self, directory: u64) -> Result<Vec<(OsString, u64)>, Refused> {
        let names = &self.directory(directory)?.now;
        Ok(names.iter().map(|(name, of)| (name.clone(), *of)).collect())
    }

    /// Makes an empty file or directory. Returns its number.
    ///
    /// # Errors
    /// [`Refused`] when the name is taken or `directory` is none.
    pub fn make(&mut self, directory: u64, name: &OsStr, node: Node) -> Result<u64, Refused> {
        if self.find(directory, name) != Err(Refused::Absent) {
            return Err(Refused::Present);
        }
        let number = self.last + 1;
        let change = vec![(name.to_owned(), Some(number))];
        self.directory_mut(directory)?.change(change);
        self.last = number;
        self.nodes.insert(number, node);
        Ok(number)
    }

    /// Takes a name away; a directory's only when it is empty.
    ///
    /// # Errors
    /// [`Refused`] when it is not there or has names.
    pub fn remove(&mut self, directory: u64, name: &OsStr) -> Result<(), Refused> {
        let number = self.find(directory, name)?;
        if let Node::Directory(inner) = self.node(number)?
            && !inner.now.is_empty()
        {
            return Err(Refused::NotEmpty);
        }
        let change = vec![(name.to_owned(), None)];
        self.directory_mut(directory)?.change(change);
        Ok(())
    }

    /// Gives something another name, in place of what has that name.
    ///
    /// # Errors
    /// [`Refused`] when it is not there, or a directory is none.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Refused> {
        let number = self.find(from.0, from.1)?;
        self.directory(to.0)?;
        let gone = (from.1.to_owned(), None);
        let new = (to.1.to_owned(), Some(number));
        if from.0 == to.0 {
            self.directory_mut(to.0)?.change(vec![gone, new]);
        } else {
            self.directory_mut(to.0)?.change(vec![new]);
            self.directory_mut(from.0)?.change(vec![gone]);
        }
        Ok(())
    }

    /// Writes bytes; what lies between the old end and `at` is zeros.
    ///
    /// # Errors
    /// [`Refused`] when it is no file.
    pub fn write(&mut self, number: u64, at: usize, bytes: &[u8]) -> Result<(), Refused> {
        let bytes = bytes.to_vec();
        self.file_mut(number)?.change(Change::Write { at, bytes });
        Ok(())
    }

    /// Cuts a file, or extends it by zeros.
    ///
    /// # Errors
    /// As [`Disk::write`].
    pub fn resize(&mut self, number: u64, length: usize) -> Result<(), Refused> {
        self.file_mut(number)?.change(Change::Resize(length));
        Ok(())
    }

    /// Bytes of a file, fewer at its end.
    ///
    /// # Errors
    /// As [`Disk::write`].
    pub fn read(&self, number: u64, at: usize, length: usize) -> Result<&[u8], Refused> {
        let Node::File(file) = self.node(number)? else {
            return Err(Refused::WrongKind);
        };
        let from = at.min(file.now.len());
        let to = at.saturating_add(length).min(file.now.len());
        Ok(&file.now[from..to])
    }

    /// Makes what a file or directory holds safe.
    ///
    /// # Errors
    /// [`Refused::Absent`].
    pub fn sync(&mut self, number: u64) -> Result<(), Refused> {
        match self.nodes.get_mut(&number).ok_or(Refused::Absent)? {
            Node::File(file) => {
                for change in file.pending.drain(..) {
                    apply(&mut file.safe, &change);
                }
            }
            Node::Directory(directory) => {
                for names in directory.pending.drain(..) {
                    apply_names(&mut directory.safe, names);
                }
            }
        }
        Ok(())
    }

    /// The power fails: what was not synced is gone, or partly gone, as `random` says.
    pub fn lose_power(&mut self, random: &mut Random) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let fate = match random.between(0, 2) {
            0 => Fate::All,
            1 => Fate::AfterSome,
            _ => Fate::Any,
        };
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.lose(fate, random, &mut forgotten),
                Node::Directory(directory) => directory.lose(fate, random, &mut forgotten),
            }
        }
        self.drop_nameless();
        forgotten
    }

    /// Drops what no name leads to any more.
    fn drop_nameless(&mut self) {
        let mut reached = BTreeSet::new();
        let mut next = vec![ROOT];
        while let Some(number) = next.pop() {
            if let (true, Some(Node::Directory(directory))) =
                (reached.insert(number), self.nodes.get(&number))
            {
                next.extend(directory.now.values());
            }
        }
        self.nodes.retain(|number, _| reached.contains(number));
    }

    fn directory(&self, number: u64) -> Result<&Directory, Refused> {
        match self.node(number)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Refused::WrongKind),
        }
    }

    fn directory_mut(&mut self, number: u64) -> Result<&mut Directory, Refused> {
        match self.nodes.get_mut(&number) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Refused::WrongKind),
            None => Err(Refused::Absent),
        }
    }

    fn file_mut(&mut self, number: u64) -> Result<&mut File, Refused> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(Refused::WrongKind),
            None => Err(Refused::Absent),
        }
    }
}

impl File {
    /// Its length now. Bytes.
    pub fn len(&self) -> usize {
        self.now.len()
    }

    /// Whether it has no bytes now.
    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.pending.push(change);
    }

    fn lose(&mut self, fate: Fate, random: &mut Random, forgotten: &mut Forgotten) {
        let pending = std::mem::take(&mut self.pending);
        let count = pending.len() as u64;
        let mut kept: Vec<Change> = match fate {
            Fate::All => vec![],
            Fate::AfterSome => {
                let kept = random.between(0, count);
                (pending.into_iter().zip(0..))
                    .filter_map(|(change, at)| (at < kept).then_some(change))
                    .collect()
            }
            Fate::Any => (pending.into_iter())
                .filter(|_| random.percent(50))
                .collect(),
        };
        forgotten.writes += count - kept.len() as u64;
        if let Some(Change::Write { bytes, .. }) = kept.last_mut() {
            let whole = bytes.len();
            bytes.truncate(usize::try_from(random.between(0, whole as u64)).unwrap_or(whole));
            forgotten.torn += u64::from(bytes.len() < whole);
        }
        for change in &kept {
            apply(&mut self.safe, change);
        }
        self.now.clone_from(&self.safe);
    }
}

impl Directory {
    fn change(&mut self, names: Names) {
        apply_names(&mut self.now, names.clone());
        self.pending.push(names);
    }

    /// Names keep their order also where bytes do not: file systems write them to a journal.
    fn lose(&mut self, fate: Fate, random: &mut Random, forgotten: &mut Forgotten) {
        let pending = std::mem::take(&mut self.pending);
        let kept = match fate {
            Fate::All => 0,
            Fate::AfterSome | Fate::Any => random.between(0, pending.len() as u64),
        };
        forgotten.names += pending.len() as u64 - kept;
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        for names in pending.into_iter().take(kept) {
            apply_names(&mut self.safe, names);
        }
        self.now.clone_from(&self.safe);
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: new } => {
            // A write of nothing does not extend a file.
            if new.is_empty() {
                return;
            }
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(new);
        }
        Change::Resize(length) => bytes.resize(*length, 0),
    }
}

fn apply_names(now: &mut BTreeMap<OsString, u64>, names: Names) {
    for (name, number) in names {
        match number {
            Some(number) => now.insert(name, number),
            None => now.remove(&name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(disk: &mut Disk, name: &str) -> u64 {
        disk.make(ROOT, name.as_ref(), Node::File(File::default()))
            .expect("the name is free")
    }

    fn text(disk: &Disk, name: &str) -> Option<String> {
        let number = disk.find(ROOT, name.as_ref()).ok()?;
        let bytes = disk.read(number, 0, 100).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A disk with a file whose first three bytes and name are safe, and more that is not.
    fn used() -> Disk {
        let mut disk = Disk::default();
        let number = file(&mut disk, "a");
        disk.write(number, 0, b"one").expect("a file");
        disk.sync(number).expect("a file");
        disk.sync(ROOT).expect("a directory");
        disk.write(number, 3, b"two").expect("a file");
        disk.write(number, 0, b"ONE").expect("a file");
        file(&mut disk, "b");
        disk.rename((ROOT, "b".as_ref()), (ROOT, "c".as_ref()))
            .expect("b is there");
        disk
    }

    #[test]
    fn only_what_was_synced_is_certain_and_nothing_else_appears() {
        let (mut found, mut names) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..500 {
            let mut disk = used();
            disk.lose_power(&mut Random::new(seed, 0));
            let a = text(&disk, "a").expect("its name was synced");
            // Each byte is the old or the new one; none of the tail follows a hole but zeros.
            let is_of_both = |(at, byte): (usize, u8)| match at {
                0..3 => byte == b"one"[at] || byte == b"ONE"[at],
                _ => byte == b"two"[at - 3] || byte == 0,
            };
            assert!(a.bytes().enumerate().all(is_of_both), "{a:?}");
            names.insert((text(&disk, "b").is_some(), text(&disk, "c").is_some()));
            found.insert(a);
        }
        for possible in ["one", "onetwo", "ONEtwo", "onet", "ONE", "Onetwo"] {
            assert!(found.contains(possible), "{possible} of {found:?}");
        }
        // A rename is whole or not at all.
        let expected = [(false, false), (true, false), (false, true)];
        assert_eq!(names, BTreeSet::from(expected));
    }

    #[test]
    fn a_synced_file_without_a_synced_name_can_be_gone_and_a_removed_one_can_be_back() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..100 {
            let mut disk = Disk::default();
            let number = file(&mut disk, "old");
            disk.sync(ROOT).expect("a directory");
            disk.remove(ROOT, "old".as_ref()).expect("it is there");
            assert_eq!(disk.read(number, 0, 1), Ok(&[][..]), "open files stay");
            let new = file(&mut disk, "new");
            disk.write(new, 0, b"x").expect("a file");
            disk.sync(new).expect("a file");
            let forgotten = disk.lose_power(&mut Random::new(seed, 0));
            assert_eq!((forgotten.writes, forgotten.torn), (0, 0));
            outcomes.insert((text(&disk, "old").is_some(), text(&disk, "new")));
        }
        let x = || Some("x".to_owned());
        let expected = [(true, None), (false, None), (false, x())];
        assert_eq!(outcomes, BTreeSet::from(expected));
    }

    #[test]
    fn names_are_refused_as_a_file_system_does() {
        let mut disk = used();
        let inner = disk.make(ROOT, "d".as_ref(), Node::Directory(Directory::default()));
        let inner = inner.expect("the name is free");
        let again = disk.make(ROOT, "d".as_ref(), Node::File(File::default()));
        assert_eq!(again, Err(Refused::Present));
        disk.rename((ROOT, "a".as_ref()), (inner, "a".as_ref()))
            .expect("both are there");
        assert_eq!(disk.find(ROOT, "a".as_ref()), Err(Refused::Absent));
        assert_eq!(disk.remove(ROOT, "d".as_ref()), Err(Refused::NotEmpty));
        disk.remove(inner, "a".as_ref()).expect("it is there");
        assert_eq!(disk.remove(ROOT, "d".as_ref()), Ok(()));
    }
}
