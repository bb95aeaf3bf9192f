/**
 * One HTTP request with its progress: XMLHttpRequest for uploads of pages and workers, fetch for
 * everything else.
 */

export interface HttpRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What is uploaded; without it the request is a download. */
  readonly body?: Blob;
  /** Ends the request; the promise then rejects. */
  readonly signal: AbortSignal;
  /** Bytes of the file so far, and in total. Called often. */
  moved(currentSize: number, totalSize: number): void;
}

export interface HttpAnswer {
  readonly status: number;
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

/** Rejects when there is no answer, or not all of it. */
export type Exchange = (request: HttpRequest) => Promise<HttpAnswer>;

/** Bytes read out of a Blob in one go. */
const PIECE_BYTES = 64 * 1024;

interface Globals {
  readonly XMLHttpRequest?: typeof XMLHttpRequest;
  readonly process?: { readonly versions?: { readonly node?: string } };
}

export const exchange: Exchange = (request) => {
  const { XMLHttpRequest: Xhr, process } = globalThis as unknown as Globals;
  // Only XMLHttpRequest tells a page how far an upload is.
  if (request.body && Xhr) return uploadWith(new Xhr(), request, request.body);
  return byFetch(request, process?.versions?.node !== undefined);
};

function uploadWith(xhr: XMLHttpRequest, request: HttpRequest, body: Blob): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    const abort = () => xhr.abort();
    xhr.open('POST', request.url);
    for (const [name, value] of Object.entries(request.headers)) xhr.setRequestHeader(name, value);
    xhr.responseType = 'arraybuffer';
    xhr.upload.onprogress = ({ loaded }) => request.moved(loaded, body.size);
    xhr.onload = () =>
      resolve({ status: xhr.status, chunks: [new Uint8Array(xhr.response as ArrayBuffer)] });
    xhr.onerror = xhr.onabort = () => reject(new Error('no answer'));
    xhr.onloadend = () => signal.removeEventListener('abort', abort);
    signal.addEventListener('abort', abort);
    xhr.send(body);
  });
}

async function byFetch(request: HttpRequest, isNode: boolean): Promise<HttpAnswer> {
  const { url, headers, body, signal, moved } = request;
  // Browsers take streams over HTTP/2 only; Node takes them always, and takes them as fast as they
  // are sent.
  const upload = body && {
    method: 'POST',
    body: isNode ? counted(body, moved) : body,
    duplex: 'half',
  };
  const response = await fetch(url, { headers, signal, ...upload } as RequestInit);
  const total = Number(response.headers.get('content-length'));
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const reader = response.body?.getReader();
  let size = 0;
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    chunks.push(read.value as Uint8Array<ArrayBuffer>);
    size += read.value.length;
    if (!body && response.ok) moved(size, total);
  }
  if (!body && size < total) throw new Error(`${size} of ${total} bytes have come`);
  return { status: response.status, chunks };
}

/** Piece by piece, so that progress is told also when the whole Blob is one piece of memory. */
function counted(body: Blob, moved: HttpRequest['moved']): ReadableStream<Uint8Array> {
  let size = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        if (size > 0) moved(size, body.size);
        if (size >= body.size) return controller.close();
        const piece = new Uint8Array(await body.slice(size, size + PIECE_BYTES).arrayBuffer());
        size += piece.length;
        controller.enqueue(piece);
      },
    },
    { highWaterMark: 0 },
  );
}
