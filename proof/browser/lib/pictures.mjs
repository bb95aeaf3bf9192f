/** Pictures that people send, made by the browser, so that no file has to be kept here. */

/** A harbour at noon as a PNG file of 1600 × 1000 pixels. */
export async function harbourPicture(page) {
  const base64 = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [1600, 1000];
    const pen = canvas.getContext('2d');
    const sky = pen.createLinearGradient(0, 0, 0, 560);
    sky.addColorStop(0, '#8ec5d6');
    sky.addColorStop(1, '#f6ead2');
    pen.fillStyle = sky;
    pen.fillRect(0, 0, 1600, 560);
    pen.fillStyle = '#fff6da';
    pen.beginPath();
    pen.arc(1180, 300, 90, 0, 7);
    pen.fill();
    for (const [colour, base, height] of [
      ['#7fa3a6', 560, 190],
      ['#557f83', 570, 120],
    ]) {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.moveTo(0, base);
      for (let x = 0; x <= 1600; x += 20)
        pen.lineTo(x, base - height * Math.abs(Math.sin(x / (height * 1.9))));
      pen.lineTo(1600, base);
      pen.fill();
    }
    pen.fillStyle = '#2c6e74';
    pen.fillRect(0, 555, 1600, 445);
    pen.strokeStyle = 'rgba(255,255,255,.25)';
    pen.lineWidth = 5;
    for (let y = 620; y < 1000; y += 60) {
      pen.beginPath();
      for (let x = 0; x <= 1600; x += 10) pen.lineTo(x, y + 8 * Math.sin(x / 45 + y));
      pen.stroke();
    }
    pen.fillStyle = '#f8f5ee';
    pen.fillRect(520, 560, 430, 80);
    pen.fillRect(600, 490, 240, 70);
    pen.fillStyle = '#b9472f';
    pen.beginPath();
    pen.moveTo(430, 640);
    pen.lineTo(1060, 640);
    pen.lineTo(980, 730);
    pen.lineTo(510, 730);
    pen.fill();
    pen.fillRect(740, 410, 60, 80);
    return canvas.toDataURL('image/png').split(',')[1];
  });
  return { name: 'harbour.png', mimeType: 'image/png', buffer: Buffer.from(base64, 'base64') };
}
