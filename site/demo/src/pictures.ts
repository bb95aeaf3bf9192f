/**
 * Pictures: the file is uploaded to the server once, and the message carries its id and a thumbnail,
 * so that whoever gets it sees something at once.
 */
import type { RtmClient, RtmImageMessage, RtmMessage } from '@tidings/rtm';
import type { Picture } from './model.js';

/** The longer side of a thumbnail. Pixels. */
const THUMBNAIL_PX = 480;
/** A message has 32 KB for thumbnail, file name and description together. */
const THUMBNAIL_BYTES_MAX = 28_000;

/** What to show at once of a file that has been chosen. Rejects for what is no picture. */
export async function pictureOf(file: File): Promise<Picture> {
  const image = await createImageBitmap(file).catch(() => {
    throw new Error(
      `“${file.name}” is not a picture that this browser can show. Choose a JPEG, PNG, WebP or GIF file.`,
    );
  });
  const { width, height } = image;
  const thumbnail = await thumbnailOf(image);
  image.close();
  return { fileName: file.name, width, height, thumbnail, source: { is: 'file', file } };
}

/** Uploads the picture and makes the message that brings it to others. `progress` is from 0 to 1. */
export async function upload(
  client: RtmClient,
  picture: Picture,
  file: File,
  progress: (share: number) => void,
): Promise<RtmMessage> {
  const { fileName, width, height, thumbnail } = picture;
  const description: Partial<RtmImageMessage> = { messageType: 'IMAGE', fileName, width, height };
  if (thumbnail) {
    const scale = scaleOf(width, height);
    description.thumbnail = thumbnail;
    description.thumbnailWidth = Math.round(width * scale);
    description.thumbnailHeight = Math.round(height * scale);
  }
  return client.createMediaMessageByUploading(file, description, {
    onOperationProgress: ({ currentSize, totalSize }) => progress(currentSize / totalSize),
  });
}

/** The picture in full. */
export async function load(client: RtmClient, { source }: Picture): Promise<Blob> {
  return source.is === 'file' ? source.file : client.downloadMedia(source.mediaId);
}

/** What a message of somebody else's shows, if it is a picture. */
export function pictureIn(message: RtmMessage): Picture | undefined {
  if (message.messageType !== 'IMAGE') return undefined;
  const { fileName, width, height, thumbnail, mediaId } = message;
  return { fileName, width, height, thumbnail, source: { is: 'server', mediaId } };
}

function scaleOf(width: number, height: number): number {
  return Math.min(1, THUMBNAIL_PX / Math.max(width, height));
}

/** As good as its size allows; a picture whose thumbnail is too large even so has none. */
async function thumbnailOf(image: ImageBitmap): Promise<Blob | undefined> {
  const scale = scaleOf(image.width, image.height);
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext('2d');
  if (!context) return undefined;
  // What is transparent would turn black.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  for (const quality of [0.8, 0.6, 0.4, 0.2]) {
    const blob = await new Promise<Blob | null>((resolve) =>
      canvas.toBlob(resolve, 'image/jpeg', quality),
    );
    if (blob && blob.size <= THUMBNAIL_BYTES_MAX) return blob;
  }
  return undefined;
}
